from __future__ import annotations

import os

import pytest

from embedwell.core.errors import ExtractionError
from embedwell.ingest import read


def test_a_file_is_read_with_its_status(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    data, status = read.read_stable(file, 100)
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
        read.read_stable(file, 100)


def test_a_file_that_changes_once_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    fstat, calls = read.os.fstat, iter(range(100))

    def changing(descriptor):
        if next(calls) == 1:
            file.write_bytes(b"newer")
        return fstat(descriptor)

    monkeypatch.setattr(read.os, "fstat", changing)
    assert read.read_stable(file, 100)[0] == b"newer"


def test_a_file_that_grew_beyond_its_limit_is_not_read(tmp_path):
    file = tmp_path / "zeros.txt"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 30)
    with pytest.raises(ExtractionError, match=r"zeros\.txt has grown beyond .* 100 bytes"):
        read.read_stable(file, 100)


def test_a_file_that_never_stops_growing_is_read_up_to_its_limit(tmp_path, monkeypatch):
    file = tmp_path / "busy.log"
    file.write_bytes(b"abc")
    fstat = read.os.fstat

    def small_before(descriptor):
        status = fstat(descriptor)
        file.write_bytes(b"x" * 1000)
        return status

    monkeypatch.setattr(read.os, "fstat", small_before)
    with pytest.raises(ExtractionError, match="has grown beyond the limit of 100 bytes"):
        read.read_stable(file, 100)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(ExtractionError, match=r"a\.txt is no regular file"):
        read.read_stable(tmp_path / "a.txt", 100)
