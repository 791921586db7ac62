from __future__ import annotations

import pytest

from embedwell.core.cgroup import GroupMemory, limited_groups, pressure_file
from embedwell.core.device import available_memory_bytes, total_memory_bytes


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def membership(tmp_path, text):
    file = tmp_path / "membership"
    file.write_text(text)
    return file


def fill(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)


def test_every_group_around_the_process_counts_the_innermost_first(tmp_path, root):
    stat = "anon 5\ninactive_file 100\nactive_file 50\nslab 7\n"
    fill(root / "outer", memory_max="2000\n", memory_current="900\n")
    fill(root / "outer/inner", memory_max="1000\n", memory_current="800\n", memory_stat=stat)
    place = membership(tmp_path, "0::/outer/inner\n")
    assert limited_groups(root, place) == [GroupMemory(1000, 800, 150), GroupMemory(2000, 900, 0)]
    assert limited_groups(root, place)[0].working_bytes == 650
    assert total_memory_bytes(root, place) == 1000
    assert available_memory_bytes(root, place) == 350


def test_groups_without_a_limit_do_not_count(tmp_path, root):
    fill(root / "a", memory_max="max\n", memory_current="5\n")
    assert limited_groups(root, membership(tmp_path, "0::/a\n")) == []


def test_inside_a_container_the_root_is_the_processs_own_group(tmp_path, root):
    fill(root, memory_max="1000\n", memory_current="10\n")
    place = membership(tmp_path, "0::/what/only/the/host/sees\n")
    assert limited_groups(root, place) == [GroupMemory(1000, 10, 0)]


def test_the_first_version_is_read_too(tmp_path, root):
    folder = root / "memory" / "jobs"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("5000\n")
    (folder / "memory.usage_in_bytes").write_text("3000\n")
    (folder / "memory.stat").write_text("cache 9\ntotal_inactive_file 1000\n")
    (root / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (root / "memory" / "memory.usage_in_bytes").write_text("9\n")
    place = membership(tmp_path, "4:cpu:/jobs\n3:memory:/jobs\n0::/\n")
    assert limited_groups(root, place) == [GroupMemory(5000, 3000, 1000)]


@pytest.mark.parametrize("text", ["", "garbage\n", "0::/../escape\n"])
def test_what_cannot_be_understood_is_no_limit(tmp_path, root, text):
    assert limited_groups(root, membership(tmp_path, text)) == []


def test_stalls_are_those_of_the_innermost_group_that_tells(tmp_path, root):
    fill(root, memory_pressure="some avg10=0\n")
    fill(root / "a")
    place = membership(tmp_path, "0::/a\n")
    assert pressure_file(root, place) == root / "memory.pressure"
    fill(root / "a", memory_pressure="some avg10=0\n")
    assert pressure_file(root, place) == root / "a" / "memory.pressure"
    assert pressure_file(root / "none", place) is None
