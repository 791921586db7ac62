"""The dashboard, in a real Chromium."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from running import finish_run, make_run
from serving import MODEL
from watching import TellingRuntime, watched

from embedwell.app.config.settings import Settings
from embedwell.core.events import Watch
from embedwell.server.about.pages import ASSETS, GREETING

HTML = {"Accept": "text/html,application/xhtml+xml"}
LOADED = re.compile("unloads in 1 min")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not program:
        pytest.skip("there is no chromium on the path")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, served):
    """A page on which no error, no outside request and no breach of the policy goes unseen."""
    opened = browser.new_page(viewport={"width": 1100, "height": 800})
    opened.set_default_timeout(15_000)
    faults, hosts = [], set()
    opened.on("console", lambda m: m.type in {"error", "warning"} and faults.append(m.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    opened.expected = lambda fault: "401" in fault
    yield opened
    opened.close()
    assert [fault for fault in faults if not opened.expected(fault)] == []
    assert hosts == {"127.0.0.1"}


@pytest.fixture
def runtime():
    return TellingRuntime()


@pytest.fixture
def served(runtime):
    with watched(runtime) as (url, service):
        yield url, service


def row(page):
    return page.locator(f'#models li[data-model="{MODEL}"]')


def test_a_model_is_loaded_and_unloaded_by_keyboard_alone(page, served, runtime):
    page.goto(served[0])
    page.wait_for_selector("#connection[data-level=low]")
    runtime.warming.clear()
    page.wait_for_selector("#models button")
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == f"Load {MODEL}"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid", "focus is seen"
    page.keyboard.press("Enter")
    row(page).locator("progress").wait_for()
    assert row(page).locator("progress").get_attribute("value") == "0.5"
    runtime.warming.set()
    row(page).get_by_text(LOADED).wait_for()
    assert row(page).locator("progress").count() == 0
    page.wait_for_function(f"{focused} === 'Unload {MODEL}@q8'")
    page.keyboard.press("Enter")
    row(page).get_by_text("not loaded").wait_for()
    page.locator("#said").get_by_text("is unloaded").wait_for()
    assert runtime.held == {}
    page.locator("#events").get_by_text("(asked)").wait_for()


def test_what_others_load_appears_by_itself_and_counts_down(page, served, runtime):
    page.goto(served[0])
    row(page).get_by_text("not loaded").wait_for()
    page.locator("#connection").get_by_text("live").wait_for()
    page.wait_for_timeout(300)
    runtime.load(MODEL, Watch())
    page.locator("#events").get_by_text("is loaded: 22 MiB").wait_for()
    row(page).get_by_text(LOADED).wait_for()
    shown = row(page).locator(".state").inner_text()
    page.wait_for_function(
        "before => document.querySelector('#models .state').innerText !== before", arg=shown
    )


def test_a_narrow_phone_needs_no_sideways_scrolling(page, served, runtime):
    runtime.load(MODEL, Watch())
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.goto(served[0])
    row(page).get_by_text(LOADED).wait_for()
    page.wait_for_selector("#chart polyline", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 20)"


def test_the_chart_says_in_words_what_it_shows(page, served):
    page.goto(served[0])
    page.wait_for_selector("#chart polyline", state="attached")
    said = page.locator("#chart").get_attribute("aria-label")
    assert re.search(r"now [\d.]+ [MG]iB in the process.*the budget is", said)


def test_a_run_is_seen_with_its_speed_failures_and_workers_also_on_a_phone(page, tmp_path):
    place = make_run(tmp_path / "papers")
    with watched(TellingRuntime(Settings(indexes=(str(place), str(tmp_path / "none"))))) as (
        url,
        _,
    ):
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(url)
        card = page.locator("#ingestion article").first
        card.get_by_text("run 2 running").wait_for()
        said = card.locator(".bar").get_attribute("aria-label")
        assert said == "25 % done, 10 % skipped, 5 % failed, 10 % leased, 50 % pending"
        widths = card.locator(".bar span").evaluate_all(
            "parts => parts.map(part => part.offsetWidth)"
        )
        assert widths[-1] == pytest.approx(5 * widths[1], abs=6)
        assert "nobody" not in card.locator(".numbers").inner_text()
        assert "The PDF is broken" in card.locator(".failures").inner_text()
        assert "working" in card.locator(".workers").inner_text()
        assert "no index" in page.locator("#ingestion article").nth(1).inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        finish_run(place)
        card.get_by_text("run 2 done").wait_for()
        card.get_by_text("Took").wait_for()
        page.close()


def test_where_nothing_was_ever_filled_there_is_no_panel(page, served):
    page.goto(served[0])
    page.wait_for_selector("#models li")
    assert page.locator("#ingestion").is_hidden()


def test_pressure_is_told_in_words(page, served):
    page.goto(served[0])
    page.locator("#pressure").get_by_text(
        re.compile("pressure (low|medium|high|critical)")
    ).wait_for()


def test_the_page_lets_nothing_foreign_or_inline_run(page, served):
    answer = page.goto(served[0])
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page.wait_for_selector("#models li")
    page.expected = lambda fault: "Content Security Policy" in fault
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert page.evaluate("window.ran") is None


def test_the_key_is_asked_for_and_kept_in_the_tab(page):
    with watched(TellingRuntime(Settings(api_key="right"))) as (url, _):
        page.goto(url)
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the key.").wait_for()
        page.get_by_label("API key").fill("right")
        page.keyboard.press("Enter")
        row(page).get_by_text("not loaded").wait_for()
        page.reload()
        row(page).get_by_text("not loaded").wait_for()
        assert page.evaluate("sessionStorage.getItem('embedwell.key')") == "right"
        assert page.evaluate("localStorage.length") == 0
        page.close()


def test_programs_that_ask_for_no_page_get_a_line_of_text(fake_service):
    answer = fake_service.get("/", headers={"Accept": "*/*"})
    assert answer.text == GREETING
    assert answer.headers["content-type"].startswith("text/plain")
    assert fake_service.head("/").status_code == 200
    assert fake_service.get("/", headers=HTML).text.startswith("<!doctype html>")


def test_every_part_of_the_page_is_given_out_and_nothing_else(fake_service):
    page = fake_service.get("/", headers=HTML).text
    used = set(re.findall(r"/assets/([\w.]+)", page))
    assert used <= set(ASSETS)
    for name, kind in ASSETS.items():
        answer = fake_service.get(f"/assets/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    for name in ("index.html", "..%2Fpages.py", "other.js"):
        assert fake_service.get(f"/assets/{name}").status_code == 404
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page)
