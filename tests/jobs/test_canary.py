"""What is decided about a run that checked itself, and what its documents look like."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from embedwell.core.errors import StoreError
from embedwell.handshake.prove import NO_DRIFT
from embedwell.jobs.work.canary.rules import (
    FEWEST,
    Finding,
    Health,
    Progressed,
    Retrieved,
    Seen,
    judge,
    of_reference,
    stopped,
    verdict,
)
from embedwell.jobs.work.canary.windows import (
    Sample,
    Window,
    flat,
    is_garbled,
    last_quarter,
    look,
    windows,
)
from embedwell.stores.queue import Run

GOOD = Seen(
    whole=Window(1000, alike=0.2),
    last=Window(250, alike=0.2),
    health=Health(1000, 0, 0.0),
    retrieved=Retrieved(100, 99, NO_DRIFT),
    rows=Progressed(900, 100, 100),
)
RUN = Run(3, "checking", 0.0, None, 1000, rehearsal=False, n_done=1000)
LOGIN = Finding("alike", "All say the same", "Look at them.", ("a.md", "b.md"))
ZERO = Finding("unusable", "Some are zero", "Run `embedwell doctor`.")


def kinds(**changed) -> list[str]:
    return [one.kind for one in judge(replace(GOOD, **changed))]


def test_a_healthy_run_passes():
    assert judge(GOOD) == []


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("unusable", {"health": Health(1000, 1, 0.0, ("a.md",))}),
        ("flat", {"health": Health(1000, 0, 0.4)}),
        ("moved", {"retrieved": Retrieved(100, 100, replace(NO_DRIFT, mean=0.05), "a.md")}),
        ("moved", {"retrieved": Retrieved(100, 100, replace(NO_DRIFT, worst=0.3), "a.md")}),
        ("moved", {"retrieved": Retrieved(100, 100, replace(NO_DRIFT, unusable=2))}),
        ("unfound", {"retrieved": Retrieved(100, 89, NO_DRIFT, unfound=("a.md",))}),
        ("alike", {"whole": Window(1000, alike=0.5, text="Sign in", examples=("a.md",))}),
        ("alike", {"last": Window(250, alike=0.6, text="Sign in", examples=("a.md",))}),
        ("garbled", {"last": Window(250, garbled=0.6, garbled_examples=("a.md",))}),
        ("empty", {"rows": Progressed(900, 500, 100)}),
        ("failed", {"rows": Progressed(400, 0, 600)}),
    ],
)
def test_each_thing_that_is_wrong_is_found(kind, changed):
    (finding,) = judge(replace(GOOD, **changed))
    assert finding.kind == kind
    assert finding.remedy
    assert all(key in finding.told for key in finding.examples)


def test_shares_of_a_few_documents_say_nothing():
    few = FEWEST - 1
    assert kinds(whole=Window(few, alike=1.0, garbled=1.0), last=Window(7, alike=1.0)) == []
    assert kinds(rows=Progressed(few, few, 0)) == []
    assert kinds(health=Health(few, 0, 1.0)) == []


def test_flat_vectors_of_texts_that_are_alike_are_the_texts_fault():
    assert kinds(health=Health(1000, 0, 0.4), whole=Window(1000, alike=1.0)) == ["alike"]


def test_who_was_let_in_by_name_may_be_further_from_what_is_stored():
    far = Retrieved(100, 100, replace(NO_DRIFT, mean=0.1, worst=0.3), "a.md")
    assert kinds(retrieved=far) == ["moved"]
    assert kinds(retrieved=far, is_wide=True) == []


def test_a_run_that_passed_goes_on_to_the_next_power_of_ten():
    found = verdict(RUN, [], is_last=False)
    assert (found.passed, found.reason, found.canary_at) == (True, "", 10_000)


def test_a_run_is_stopped_with_what_was_seen():
    found = verdict(RUN, [LOGIN], is_last=False)
    assert not found.passed
    assert found.canary_at == 10_000
    assert "after 1,000 documents" in found.reason
    assert "All say the same (such as a.md, b.md)." in found.reason


def test_what_a_person_let_pass_stops_no_run_twice():
    resumed = replace(RUN, canary_at=10_000, report={"findings": [asdict(LOGIN)]})
    found = verdict(resumed, [LOGIN], is_last=False)
    assert found.passed
    assert found.overruled == {"alike"}
    again = replace(resumed, canary_at=100_000, report={"findings": [], "overruled": ["alike"]})
    assert verdict(again, [LOGIN], is_last=False).passed
    assert not verdict(again, [replace(LOGIN, kind="garbled")], is_last=False).passed


def test_broken_vectors_are_looked_at_again_at_once_and_never_let_pass():
    found = verdict(RUN, [ZERO, LOGIN], is_last=False)
    assert found.canary_at == RUN.canary_at
    resumed = replace(RUN, report={"findings": [asdict(ZERO)]})
    assert not verdict(resumed, [ZERO], is_last=False).passed


def test_a_rehearsal_stops_even_if_all_is_well_unless_nothing_is_left():
    rehearsal = replace(RUN, rehearsal=True, n_done=400)
    found = verdict(rehearsal, [], is_last=False)
    assert found.passed
    assert "rehearsal is over after 400 documents" in found.reason
    assert verdict(rehearsal, [], is_last=True).reason == ""
    assert verdict(rehearsal, [ZERO], is_last=True).canary_at == 400


def run_with(found, reason=None) -> Run:
    findings = [asdict(one) for one in found.findings]
    report = {
        "reason": found.reason,
        "passed": found.passed,
        "findings": findings,
        "overruled": sorted(found.overruled),
    }
    return replace(RUN, status="stopped", reason=reason or found.reason, report=report)


def test_the_error_of_a_stopped_run_says_what_to_do():
    error = stopped(run_with(verdict(RUN, [LOGIN], is_last=False)))
    assert error.report["findings"]
    for remedy in ("Look at them.", "`embedwell purge --run 3`", "`embedwell index --resume`"):
        assert remedy in error.remedy


def test_what_nobody_can_let_pass_is_checked_once_more():
    error = stopped(run_with(verdict(RUN, [LOGIN, ZERO], is_last=False)))
    assert "goes on regardless" not in error.remedy
    assert "checks what is stored once more" in error.remedy


def test_neither_a_rehearsal_nor_a_person_asks_for_anything_to_be_mended():
    rehearsed = stopped(run_with(verdict(replace(RUN, rehearsal=True), [], is_last=False)))
    by_hand = stopped(run_with(verdict(RUN, [LOGIN], is_last=False), "Somebody stopped it."))
    for error in (rehearsed, by_hand):
        assert "--resume" in error.remedy
        assert "purge" not in error.remedy


def test_where_no_worker_is_right_the_reference_may_be_wrong():
    finding = of_reference(StoreError("Its probes are damaged.", "Restore a backup."))
    assert finding.kind == "reference"
    assert "Its probes are damaged" in finding.problem


def texts_at(vectors, texts=None) -> Sample:
    n = len(vectors)
    texts = texts or [f"text{at}" for at in range(n)]
    return Sample([f"{at}.md" for at in range(n)], texts, np.array(vectors, np.float32))


def scattered(n: int, seed: int = 0):
    return np.random.default_rng(seed).standard_normal((n, 48)).astype(np.float32)


def test_strangers_are_not_alike():
    window = look(texts_at(scattered(100)), 1.0)
    assert (window.n, window.same, window.garbled) == (100, 0.0, 0.0)
    assert window.alike == pytest.approx(0.01)
    assert abs(window.mean) < 0.05


def test_those_around_one_of_them_are_alike():
    vectors = scattered(100)
    vectors[40:] = vectors[40] + 0.02 * scattered(60, 1)
    window = look(texts_at(vectors), 1.0)
    assert window.alike == pytest.approx(0.6)
    assert window.examples == ("40.md", "41.md", "42.md")
    assert window.text.startswith("text4")


def test_the_scale_of_the_model_decides_what_is_alike():
    vectors = scattered(50) + 20  # a model that puts all texts close together
    assert look(texts_at(vectors), 1.0).alike == 1.0
    assert look(texts_at(vectors), 0.003).alike < 0.1


def test_texts_that_others_have_too_are_counted():
    window = look(texts_at(scattered(4), ["one", "two", "one", "three"]), 1.0)
    assert window.same == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Page {} of 1000", 1.0),
        ("(cid:{}) (cid:7)", 1.0),
        ("Sign in to continue. Request 4f{}e1 at 12:0{}.", 1.0),
        ("2024-05-{} 12:00:0{} sensor=th-3 temperature=2{}.5 status=OK", 0.01),
        ("{},17,{}.5,4,{}", 0.01),
        ("word{} word7{}", 0.01),
    ],
)
def test_texts_that_differ_in_numbers_alone_are_alike_unless_they_are_mostly_numbers(
    text, expected
):
    texts = [text.format(at, at, at) for at in range(100)]
    window = look(texts_at(scattered(100), texts), 1.0)
    assert window.alike == pytest.approx(expected)
    assert window.same == 0.0


def test_where_it_degenerates_shows_in_the_last_windows():
    vectors = scattered(400)
    vectors[250:] = vectors[250]
    shares = [one.alike for one in windows(texts_at(vectors), 1.0)]
    assert len(shares) == 10
    assert max(shares[:6]) < 0.1
    assert min(shares[7:]) == 1.0
    assert last_quarter(texts_at(vectors), 1.0).alike == 1.0


@pytest.mark.parametrize("n", [0, 1, 2, 29, 31])
def test_few_documents_make_one_window(n):
    found = windows(texts_at(scattered(max(n, 1))[:n]), 1.0)
    assert [one.n for one in found] == [n]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Il fait très froid — vraiment.\n\tdef f():\r\n\f", False),
        ("日本語 עברית 😀 naïve", False),
        ("", False),
        ("\ufffd\ufffd is what is left", True),
        ("".join(map(chr, range(1, 32))), True),
        ("glyphs \ue001\ue002\ue003", True),
        ("one \ufffd in a long and otherwise quite ordinary sentence about nothing", False),
    ],
)
def test_bytes_that_were_taken_for_text_are_garbled(text, expected):
    assert is_garbled(text) is expected


@given(some.binary(min_size=200, max_size=400).filter(lambda raw: len(set(raw)) > 100))
def test_random_bytes_are_garbled_however_they_are_decoded(raw):
    assert is_garbled(raw.decode("utf-8", "replace"))


def test_dimensions_without_variance_are_flat():
    vectors = scattered(50)
    vectors[:, :12] = 0.3
    assert flat(vectors).sum() == 12


def test_what_is_shown_of_a_text_is_one_short_line():
    window = look(texts_at(scattered(2), ["\x1b[2J" + "line\n" * 50] * 2), 1.0)
    assert len(window.text) <= 61
    assert "\n" not in window.text
    assert "\x1b" not in window.text
