from __future__ import annotations

import pytest

from embedwell.core.errors import ExtractionError
from embedwell.ingest import read


def test_a_file_is_read_with_its_status(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    data, status = read.read_stable(file)
    assert data == b"abc"
    assert status.st_size == 3


def test_a_file_that_keeps_changing_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "busy.log"
    file.write_bytes(b"abc")
    fstat = read.os.fstat

    def growing(descriptor):
        with file.open("ab") as more:
            more.write(b"x")
        return fstat(descriptor)

    monkeypatch.setattr(read.os, "fstat", growing)
    with pytest.raises(ExtractionError, match=r"busy\.log changed each of the 3 times"):
        read.read_stable(file)


def test_a_file_that_changes_once_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    fstat, calls = read.os.fstat, iter(range(100))

    def changing(descriptor):
        if next(calls) == 1:
            file.write_bytes(b"newer")
        return fstat(descriptor)

    monkeypatch.setattr(read.os, "fstat", changing)
    assert read.read_stable(file)[0] == b"newer"
