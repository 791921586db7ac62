"""Files that harm: each one an error with its reason, and what comes after it is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import hostile
from embedwell.core.errors import ExtractionError, ExtractorStartError, TaskCancelledError
from embedwell.core.pipes import receive, send
from embedwell.ingest import child_process, limited
from embedwell.ingest.extract import extract, extract_text
from embedwell.ingest.formats import PLAIN, format_of
from embedwell.ingest.limited import LimitedExtractor, Limits
from embedwell.ingest.sources.protocol import Content

MEMORY = 256 << 20

POSIX = pytest.mark.skipif(os.name != "posix", reason="ends by a signal")


def content(name, data):
    return Content(data, len(data), 0, format_of(name))


def harm(deed):
    return content(f"{deed}.html", deed.encode() + b"\n<p>text")


@pytest.fixture
def harmful(monkeypatch):
    """Has the child do what HTML files tell it."""
    monkeypatch.setenv("PYTHONPATH", str(hostile.HARM))


@pytest.fixture
def extractor():
    with LimitedExtractor(Limits(30.0, MEMORY)) as opened:
        yield opened


@pytest.fixture
def short_time():
    """For files that hang; enough for the others on a busy machine."""
    with LimitedExtractor(Limits(2.0, MEMORY)) as opened:
        yield opened


def text_of(extractor, name="a.py", data=b"def f(): pass\n"):
    return extractor(content(name, data)).text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.py", "class A:\n    def é(self):\n        pass\n\n\nx = 1\n".encode()),
        ("a.html", b"<title>T</title><h1>One</h1><p>a</p>\n<h2>Two</h2><p>b"),
        ("a.ipynb", hostile.cyclic_notebook()),
        ("a.txt", b"some text\n" * 50_000),
        ("empty.py", b""),
    ],
)
def test_the_child_gives_what_extraction_here_gives(extractor, name, data):
    given, expected = extractor(content(name, data)), extract(data, format_of(name))
    assert extractor._child is not None
    assert (given.text, list(given.segments)) == (expected.text, list(expected.segments))
    assert given.line_of.offsets.tolist() == expected.line_of.offsets.tolist()
    assert given.line_of.lines.tolist() == expected.line_of.lines.tolist()


def test_long_records_are_read_by_the_child(extractor):
    text = "long \ud800 text " * 30_000
    given = extractor(Content(text, len(text), 0, PLAIN))
    assert given.text == extract_text(text, PLAIN).text
    assert extractor._child is not None


def test_short_plain_text_needs_no_child(extractor):
    assert text_of(extractor, "a.md", b"# One\n\ntext") == "# One\n\ntext"
    assert extractor(Content("a record", 8, 0, PLAIN)).text == "a record"
    assert extractor._child is None


def test_one_child_serves_many_files(extractor):
    text_of(extractor)
    pid = extractor._child.pid
    assert [text_of(extractor) for _ in range(5)] == ["def f(): pass\n"] * 5
    assert extractor._child.pid == pid


def test_a_refusal_keeps_its_words_and_the_child(extractor):
    text_of(extractor)
    pid = extractor._child.pid
    with pytest.raises(ExtractionError) as caught:
        extractor(content("a.ipynb", b"[]"))
    assert caught.value.problem == "The file is JSON, but not a notebook: it has no cells."
    assert caught.value.remedy.startswith("Open it in Jupyter")
    assert extractor._child.pid == pid


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        pytest.param("crash", r"Its extractor crashed \(signal 11\)", marks=POSIX),
        ("leave", r"Its extractor crashed \(exit status 3\)"),
        ("eat", "takes more than 256 MiB of memory.*`extraction_memory` raises the limit"),
        pytest.param(
            "eat_in_native_code",
            "(takes more than 256 MiB of memory|for want of memory)",
            marks=POSIX,
        ),
        ("raise_another", r"Its extractor failed \(KeyError: '\\ud800'\)"),
        ("refuse", "It is \ufffd odd. Mend it."),
        ("lie", "Its extractor crashed"),
        ("promise_much", "Its extractor crashed"),
    ],
)
def test_a_file_that_harms_fails_with_its_reason_and_the_next_is_read(
    harmful, extractor, deed, reason
):
    for _ in range(2):  # in a fresh child, and in one that others have used
        with pytest.raises(ExtractionError, match=reason):
            extractor(harm(deed))
        assert text_of(extractor) == "def f(): pass\n"


@pytest.mark.parametrize("deed", ["hang", pytest.param("hang_in_native_code", marks=POSIX)])
def test_a_file_that_hangs_fails_after_its_time(harmful, short_time, deed):
    reason = "took longer than 2 s .*`extraction_timeout_s` raises the limit"
    with pytest.raises(ExtractionError, match=reason):
        short_time(harm(deed))
    assert text_of(short_time) == "def f(): pass\n"


def test_what_a_library_prints_or_reads_does_no_harm(harmful, extractor, capfd):
    assert extractor(harm("talk")).text == "talk\n\ntext"
    assert capfd.readouterr() == ("", "")


def test_a_grown_child_is_replaced(harmful, extractor):
    text_of(extractor)
    before = extractor._child
    for _ in range(8):  # together they would be over the limit
        assert extractor(harm("grow")).text == "grow\n\ntext"
    text_of(extractor)
    assert extractor._child.pid != before.pid


def test_a_child_that_was_killed_from_outside_costs_no_file(extractor):
    text_of(extractor)
    process = psutil.Process(extractor._child.pid)
    process.kill()
    process.wait()
    assert text_of(extractor) == "def f(): pass\n"


@POSIX
def test_what_is_sent_to_the_whole_group_leaves_the_child_alone(extractor):
    text_of(extractor)
    pid = extractor._child.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert text_of(extractor) == "def f(): pass\n"
    assert extractor._child.pid == pid


def test_a_stop_does_not_wait_for_the_file(harmful):
    stop = threading.Event()
    with LimitedExtractor(Limits(600.0, MEMORY), stop) as extractor:
        text_of(extractor)
        child = psutil.Process(extractor._child.pid)
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(TaskCancelledError):
            extractor(harm("hang"))
        assert not child.is_running()


def test_a_stop_before_the_child_is_there_is_a_stop_too():
    stop = threading.Event()
    stop.set()
    with (
        LimitedExtractor(Limits(600.0, MEMORY), stop) as extractor,
        pytest.raises(TaskCancelledError),
    ):
        text_of(extractor)


def test_the_end_leaves_no_child_and_is_no_end_for_good(extractor):
    text_of(extractor)
    child = psutil.Process(extractor._child.pid)
    extractor.close()
    extractor.close()
    assert not child.is_running()
    assert text_of(extractor) == "def f(): pass\n"


def test_a_child_that_does_not_let_go_is_killed(harmful, extractor, monkeypatch):
    monkeypatch.setattr(child_process, "_GRACE_S", 0.0)
    text_of(extractor)
    child = psutil.Process(extractor._child.pid)
    extractor.close()
    assert not child.is_running()


def test_a_broken_installation_is_not_the_fault_of_files(monkeypatch, extractor):
    monkeypatch.setattr(child_process, "PROGRAM", (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(ExtractorStartError, match=r"does not start \(exit status 7\)"):
        text_of(extractor)


def test_a_limit_below_what_python_needs_is_said():
    with (
        LimitedExtractor(Limits(30.0, 4 << 20)) as extractor,
        pytest.raises(ExtractorStartError, match="raise `extraction_memory`"),
    ):
        text_of(extractor)


@POSIX
@pytest.mark.parametrize("deed", ["hang", "wait for the next file"])
def test_the_child_ends_with_a_parent_that_is_killed(harmful, deed):
    script = f"""
import sys, threading, time
from embedwell.ingest.formats import format_of
from embedwell.ingest.limited import LimitedExtractor, Limits
from embedwell.ingest.sources.protocol import Content
extractor = LimitedExtractor(Limits(600.0, {MEMORY}))
extractor(Content(b"def f(): pass", 13, 0, format_of("a.py")))
print(extractor._child.pid, flush=True)
extractor(Content(b"hang", 4, 0, format_of("a.html"))) if {deed == "hang"} else time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.2)
        parent.kill()
        psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_child_ends_where_it_does_not_understand_its_parent():
    """As where another version was installed under a worker that runs."""
    command = [*child_process.PROGRAM, str(MEMORY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert receive(child.stdout) == b""
        send(child.stdin, b"no job")
        assert child.wait(timeout=30) == 1


@pytest.mark.parametrize("name", hostile.BYTES)
def test_hostile_bytes_fail_with_their_reason_in_little_memory(extractor, name):
    make, reason = hostile.BYTES[name]
    data = make()
    before = psutil.Process().memory_info().rss
    with pytest.raises(ExtractionError, match=reason):
        extractor(content(name, data))
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert text_of(extractor) == "def f(): pass\n"


@pytest.mark.parametrize("name", hostile.HARMLESS)
def test_odd_files_are_read(extractor, name):
    make, part = hostile.HARMLESS[name]
    assert part in extractor(content(name, make())).text


def test_only_short_plain_text_is_read_here():
    harmless = [
        name
        for name in ("a.txt", "a.md", "a.c", "a.html", "a.pdf", "a.rb", "a.ipynb")
        if limited.is_harmless(format_of(name), 1000)
    ]
    assert harmless == ["a.txt", "a.md", "a.rb"]
    assert not limited.is_harmless(PLAIN, limited.MAX_HERE + 1)
