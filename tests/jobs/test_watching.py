"""Following folders that change, with real files and the system's own notices."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.jobs.sweeping.watching import BLIND_S, SWEEP_S, Notices, follow, is_news


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.md", True),
        ("docs/deep/a.py", True),
        ("docs", True),
        (".gitignore", True),
        ("docs/.gitignore", True),
        (".embedwell/index.db-wal", False),
        (".git/HEAD", False),
        ("docs/.hidden.md", False),
        ("picture.png", False),
        ("../elsewhere.md", False),
    ],
)
def test_only_what_may_be_indexed_is_news(path, expected):
    folder = Path("/folder")
    assert is_news(Path("/elsewhere.md") if ".." in path else folder / path, folder) is expected


def test_changes_are_told_and_those_of_the_index_are_not(tmp_path):
    pytest.importorskip("watchfiles")
    never = threading.Event()
    with closing(Notices([tmp_path], tmp_path / "index.db")) as notices:
        assert (notices.problem, notices.every_s) == ("", SWEEP_S)
        (tmp_path / "index.db-wal").write_text("ours")
        assert not notices.wait(1.5, never)
        (tmp_path / "a.md").write_text("words")
        assert notices.wait(30, never)
        (tmp_path / "a.md").rename(tmp_path / "b.md")
        assert notices.wait(30, never)
        (tmp_path / "b.md").unlink()
        assert notices.wait(30, never)
        (tmp_path / ".gitignore").write_text("*.md")
        assert notices.wait(30, never)


def test_without_the_package_only_time_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with closing(Notices([tmp_path])) as notices:
        assert not notices.wait(0.2, threading.Event())
        assert notices.every_s == BLIND_S
        assert "embedwell[watch]" in notices.problem


def test_a_folder_that_is_not_there_is_said(tmp_path):
    pytest.importorskip("watchfiles")
    with closing(Notices([tmp_path / "none"])) as notices:
        assert "does not tell of changes" in notices.problem
    with closing(Notices([])) as notices:
        assert notices.problem == "there is no folder to watch"


class Told:
    """Notices as a test wants them."""

    every_s = 30.0

    def __init__(self, watch):
        self.watch = watch
        self.n = 0

    def wait(self, timeout_s, cancelled):
        self.n += 1
        if self.n == 3:
            cancelled.set()
        return True


def test_it_updates_at_each_change_until_it_is_stopped():
    watch, updates = Watch(), []
    follow(lambda: updates.append(1), Told(watch), watch)
    assert len(updates) == 3


def test_what_an_update_raises_ends_it():
    def fail():
        raise EmbedwellError("It is broken.", "Mend it.")

    watch = Watch()
    with pytest.raises(EmbedwellError):
        follow(fail, Told(watch), watch)
