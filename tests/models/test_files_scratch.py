import errno
import os
from pathlib import Path

import pytest
from published import all_files

from embedwell.models.scratch import Scratch, sweep

fcntl = pytest.importorskip("fcntl")


def test_without_a_folder_asked_for_nothing_is_made(tmp_path):
    with Scratch(tmp_path / "cache") as scratch:
        assert not scratch.holds(tmp_path)
    assert not (tmp_path / "cache").exists()


def test_folders_are_new_each_time_and_gone_at_the_end(tmp_path):
    with Scratch(tmp_path) as scratch:
        first, second = scratch.new("work"), scratch.new("work")
        assert first != second
        (first / "file").write_text("x")
        assert scratch.holds(first / "file")
    assert all_files(tmp_path) == []


def test_locks_without_a_folder_are_swept_too(tmp_path):
    (tmp_path / "abc.lock").touch()
    sweep(tmp_path)
    assert all_files(tmp_path) == []


def test_where_the_disk_has_no_locks_work_goes_on_and_nothing_is_swept(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Scratch(tmp_path) as living:
        (living.new("work") / "file").write_text("x")
        with Scratch(tmp_path) as other:
            other.new("work")
        assert [name for name in all_files(tmp_path / "tmp") if name.endswith("/file")]


def test_a_lock_that_a_sweeper_took_away_is_made_anew(tmp_path, monkeypatch):
    real = fcntl.flock
    taken = []

    def sweep_first(lock, how):
        real(lock, how)
        if not taken:
            taken.append(lock.name)
            Path(lock.name).unlink()

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with Scratch(tmp_path) as scratch:
        folder = scratch.new("work")
        assert folder.is_dir()
        assert (folder.parent.with_suffix(".lock")).exists()
