from __future__ import annotations

import psutil

from embedwell.core.device import (
    available_cpus,
    available_memory_bytes,
    resident_bytes,
    total_memory_bytes,
)


def test_without_a_cgroup_the_system_decides(tmp_path):
    assert 1 <= available_cpus(tmp_path) <= psutil.cpu_count()
    assert total_memory_bytes(tmp_path) == psutil.virtual_memory().total
    assert 0 < available_memory_bytes(tmp_path) < total_memory_bytes(tmp_path)


def test_a_cgroup_quota_cuts_the_processors(tmp_path):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert available_cpus(tmp_path) == 1


def test_a_cgroup_without_limits_changes_nothing(tmp_path):
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert available_cpus(tmp_path) == available_cpus(tmp_path / "none")
    assert total_memory_bytes(tmp_path) == psutil.virtual_memory().total


def test_a_cgroup_limit_cuts_the_memory(tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert total_memory_bytes(tmp_path) == 1_000_000
    assert available_memory_bytes(tmp_path) == 600_000


def test_resident_memory_is_that_of_a_python_process():
    assert 5 << 20 < resident_bytes() < 4 << 30
