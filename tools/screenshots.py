"""Take the pictures of the dashboard in the docs, from a service with the default model.

Needs Chromium (`CHROMIUM`, else one on the path) and a model that is there or can be had.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXTS = [f"Sentence number {n} about memory, models and budgets." for n in range(400)]
WORK_S = 25
N_FILES, N_BROKEN, N_WORKERS = 6_000, 40, 2


def make_files(folder: Path) -> None:
    """Documents that take a while, some of them broken."""
    folder.mkdir()
    for n in range(N_FILES):
        text = " ".join(f"Paragraph {n * 40 + i} tells of memory and models." for i in range(40))
        (folder / f"{n:05}.md").write_text(f"# Document {n}\n\n{text}\n")
    for n in range(N_BROKEN):
        (folder / f"{n * 7:05}.pdf").write_text("not a PDF")


@contextmanager
def indexing(folder: Path) -> Iterator[None]:
    """Workers that are filling the index of a folder."""
    command = [sys.executable, "-m", "embedwell.cli.main", "index", str(folder), "--threads", "1"]
    workers = []
    for _ in range(N_WORKERS):
        workers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        time.sleep(4)
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(30)


@contextmanager
def service() -> Iterator[tuple[str, Path]]:
    """The address of a service of its own, and the folder that it serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ew") as folder:
        variables = os.environ | {
            "EMBEDWELL_SOCKET": f"{folder}/s",
            "EMBEDWELL_PORT": str(port),
            "EMBEDWELL_MEMORY_BUDGET": "400MiB",
            "EMBEDWELL_IDLE_S": "600",
        }
        papers = Path(folder, "papers")
        make_files(papers)
        command = [sys.executable, "-m", "embedwell.cli.main", "serve", "--index", str(papers)]
        process = subprocess.Popen(command, env=variables)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address)
            yield address, papers
        finally:
            process.terminate()
            process.wait(20)


def _wait(address: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{address}/health"):
                return
        except OSError:
            time.sleep(0.05)


def _embed(address: str, n_texts: int) -> None:
    body = str({"model": "all-MiniLM-L6-v2", "input": TEXTS[:n_texts]}).replace("'", '"').encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/embeddings", body, headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()


def picture(
    browser: Browser, address: str, name: str, width: int, height: int, *, scheme: str = "light"
) -> None:
    """Write one picture of the whole page."""
    size = {"width": width, "height": height}
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("#models li")
    page.wait_for_timeout(1500)
    page.screenshot(path=DOCS / name, full_page=True)
    page.close()
    print(f"docs/{name}: {(DOCS / name).stat().st_size // 1024} KiB")


def main() -> None:
    """Work a little, so that there is something to see, and take the pictures."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with service() as (address, papers), indexing(papers), sync_playwright() as playwright:
        until = time.monotonic() + WORK_S
        while time.monotonic() < until:
            _embed(address, 1 + int(time.monotonic() * 7) % 60)
            time.sleep(0.15)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        picture(browser, address, "dashboard.png", 1100, 800)
        picture(browser, address, "dashboard-phone.png", 360, 740, scheme="dark")
        browser.close()


main()
