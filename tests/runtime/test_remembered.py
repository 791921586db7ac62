from __future__ import annotations

import json
import threading

import pytest

from embedwell.runtime.remembered import Remembered


def test_what_is_remembered_is_known_to_the_next_process(tmp_path):
    file = tmp_path / "cache" / "memory.json"
    first = Remembered(file)
    assert first.get("a") is None
    first.put("a", 100)
    first.put("a", 120)
    assert Remembered(file).get("a") == 120
    assert [path.name for path in file.parent.iterdir()] == ["memory.json"]


def test_without_a_file_it_is_remembered_here():
    here = Remembered(None)
    here.put("a", 1)
    assert here.get("a") == 1


def test_two_processes_do_not_undo_each_other(tmp_path):
    file = tmp_path / "memory.json"
    first, second = Remembered(file), Remembered(file)
    assert first.get("a") is second.get("b") is None
    first.put("a", 1)
    second.put("b", 2)
    assert json.loads(file.read_text()) == {"a": 1, "b": 2}


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '{"a": "big", "b": -1, "c": true}'])
def test_garbage_is_nothing(tmp_path, text):
    file = tmp_path / "memory.json"
    file.write_text(text)
    known = Remembered(file)
    assert [known.get(key) for key in "abc"] == [None] * 3
    known.put("a", 5)
    assert json.loads(file.read_text()) == {"a": 5}


def test_a_place_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    known = Remembered(tmp_path / "file" / "memory.json")
    known.put("a", 1)
    assert known.get("a") == 1


def test_only_the_latest_rows_are_kept(tmp_path):
    known = Remembered(tmp_path / "memory.json")
    for number in range(300):
        known.put(str(number), number + 1)
    rows = json.loads((tmp_path / "memory.json").read_text())
    assert len(rows) == 256
    assert "299" in rows
    assert "0" not in rows


def test_threads_may_write_at_once(tmp_path):
    known = Remembered(tmp_path / "memory.json")
    threads = [threading.Thread(target=known.put, args=(str(n), n + 1)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((tmp_path / "memory.json").read_text())) == 8
