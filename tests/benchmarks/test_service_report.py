import os
import time
from pathlib import Path

import pytest
from benchmarks.artifacts import WIDE
from benchmarks.budget import budget_for_one, growth
from benchmarks.report import page
from benchmarks.responsiveness import SERVICE
from benchmarks.service_sections import counts
from benchmarks.targets import verdicts

from benchmarks import cgroup, memory

SMAPS = """\
7f00-7f10 r-xp 00000000 fe:00 12 /usr/bin/python3.11
Rss:                 400 kB
Pss:                 200 kB
7f10-7f20 r--p 00000000 fe:00 13 /cache/artifacts/m@q8-1/weights.bin
Pss:                1000 kB
7f20-7f30 rw-p 00000000 00:00 0 
Pss:                3000 kB
7f30-7f40 rw-p 00000000 00:00 0 [heap]
Pss:                1000 kB
7f40-7f50 r-xp 00000000 fe:00 14 /venv/lib/python3.11/site-packages/onnxruntime/capi/x.so
Pss:                 500 kB
7f50-7f60 r-xp 00000000 fe:00 15 /venv/lib/python3.11/site-packages/torch/lib/libtorch.so
Pss:                 100 kB
"""  # noqa: W291 - as the kernel writes it


def footprint(size):
    return {"pss_mb": size, "private_mb": size, "rss_mb": 2 * size}


def unload(cycle, model, used, after):
    return {
        "cycle": cycle,
        "model": model,
        "loaded": footprint(used),
        "used": footprint(used),
        "after": footprint(after),
    }


UNLOADING = {
    "n_texts": 3,
    "before": footprint(26),
    "rows": [
        unload(1, "all-MiniLM-L6-v2", 70, 30),
        unload(1, WIDE[0], 120, 31),
        unload(2, "all-MiniLM-L6-v2", 70, 32),
        unload(2, WIDE[0], 120, 32),
        unload(3, "all-MiniLM-L6-v2", 70, 34),
        unload(3, WIDE[0], 120, 33),
    ],
}
ANSWERED = {"status": 0, "highest_rss_mb": 105.0, "of_budget": 1.05, "n_requests": 1000,
            "n_answered": 990, "errors": {"OverBudgetError": 7, "EngineError": 3},
            "events": {"loaded": 5}, "reasons": {"unloaded: room": 4}, "seconds": 9.0}  # fmt: skip
KILLED = {"status": -9, "highest_rss_mb": 99.0, "of_budget": 0.99, "oom_kills": 1}
LATENCY = {"p50_ms": 2.0, "p90_ms": 2.5, "p99_ms": 9.0, "highest_ms": 11.0}
PART = {
    "date": "2026-01-01",
    "took_s": 400,
    "machine": dict.fromkeys(
        ("processor", "memory_gib", "system", "python", "embedwell", "n_cores", "load_before"), "x"
    ) | {"instructions": []},
    "sharing": {
        "n_texts": 10_000,
        "missing": ["a service: its packages did not install"],
        "rows": [
            {"setup": "three clients", "seconds": 1.0, "highest": footprint(200),
             "highest_each_pss_mb": [130.0, 35.0, 35.0], "after": footprint(180),
             "client": footprint(24), "client_kinds": {"heap and stacks": 20.0},
             "service": footprint(120), "service_alone": footprint(150),
             "service_kinds": {"heap and stacks": 80.0, "torch's code": 5.0}},
            {"setup": "three copies", "seconds": 1.0, "highest": footprint(300),
             "highest_each_pss_mb": [150.0, 150.0], "after": footprint(290),
             "client": footprint(100), "client_kinds": {}},
        ],
    },
    "stages": {who: [{"stage": "numpy", "rss_mb": 27.7, "private_mb": 14.6}]
               for who in ("service", "client")},
    "unloading": UNLOADING | growth(UNLOADING),
    "budget": {"budget_mb": 100.0, "missing": [],
               "rows": [{"where": "free"} | ANSWERED, {"where": "cgroup"} | KILLED]},
    "one_text": {"rows": [{"how": SERVICE} | LATENCY], "missing": []},
    "bulk_clients": {"n_texts": 1024, "n_clients": 8, "in_process_tokens_per_s": 1000.0,
                     "service_tokens_per_s": 900.0, "share": 0.9, "visits_share": [0.9],
                     "clients_cpu_s": 0.5, "service_cpu_s": 4.0},
    "beside_bulk": {
        "batch_ms": 6.0, "batch_tokens": 256, "missing": [],
        "rows": [{"how": SERVICE, "n_bulk_clients": n, "idle_p50_ms": 2.0, "bound_ms": 12.0 / n,
                  "bulk_tokens_per_s": 9000} | LATENCY for n in (1, 2)],
    },
}  # fmt: skip


def test_what_a_process_maps_is_summed_by_kind_and_memory_of_no_file_is_heap():
    assert memory.kinds_of(SMAPS.splitlines()) == {
        "heap and stacks": 4.1,
        "the model's weights": 1.0,
        "onnxruntime's code": 0.5,
        "the interpreter's code": 0.2,
        "torch's code": 0.1,
    }


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells these")
def test_memory_of_several_processes_is_the_sum_of_their_shares():
    own, twice = memory.footprint(os.getpid()), memory.together([os.getpid(), os.getpid()])
    assert 0 < own.private_mb <= own.pss_mb <= own.rss_mb
    assert twice.pss_mb == pytest.approx(2 * own.pss_mb, rel=0.1)
    assert sum(memory.by_kind(os.getpid()).values()) == pytest.approx(own.pss_mb, rel=0.1)
    assert memory.cpu_s(os.getpid()) > 0


def test_a_process_that_has_ended_takes_nothing():
    assert memory.footprint(2**30) == memory.Footprint(0, 0, 0)


def test_a_sampler_reads_until_its_block_ends():
    with memory.Sampler(time.monotonic, 0.001) as sampler:
        while len(sampler.found) < 3:
            time.sleep(0.001)
    n_read = len(sampler.found)
    time.sleep(0.01)
    assert len(sampler.found) == n_read
    assert sampler.found == sorted(sampler.found)


def test_growth_is_counted_from_the_end_of_the_second_cycle():
    assert growth(UNLOADING) == {
        "private_above_mb": 7,
        "rss_above_mb": 14,
        "private_growth_mb": 1,
        "highest_private_after_cycle_2_mb": 34,
    }


def test_a_budget_for_one_wide_model_holds_one_in_use_and_not_two():
    budget_mb = budget_for_one(UNLOADING) / 1e6
    one, none = 240, 62
    assert one < budget_mb < one + (one - none)


@pytest.mark.parametrize(
    ("own", "folder", "version"),
    [
        ("4:memory:/a/b\n0::/\n", "/sys/fs/cgroup/memory/a/b/x", 1),
        ("5:cpu,memory:/\n", "/sys/fs/cgroup/memory/x", 1),
        ("0::/user.slice/s.scope\n", "/sys/fs/cgroup/user.slice/x", 2),
        ("0::/\n", "/sys/fs/cgroup/x", 2),
    ],
)
def test_a_cgroup_is_made_below_ones_own_in_version_1_and_beside_it_in_version_2(
    own, folder, version
):
    found, number = cgroup.place(own)
    assert (str(found.with_name("x")), number) == (folder, version)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (1, {"memory.oom_control": "under_oom 0\noom_kill 2\n", "memory.failcnt": "7\n"}),
        (2, {"memory.events": "low 0\nmax 7\noom 1\noom_kill 2\n", "memory.swap.max": "max"}),
    ],
)
def test_kills_and_hits_of_the_limit_are_read_in_both_versions(tmp_path, version, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    made = cgroup.Cgroup(tmp_path, version)
    made.limit(100)
    assert (made.n_oom_kills(), made.n_limit_hits()) == (2, 7)
    limit_file = "memory.limit_in_bytes" if version == 1 else "memory.max"
    assert (tmp_path / limit_file).read_text() == "100"


def test_counts_are_a_line_and_nothing_is_0():
    assert counts({"b": 2, "a": 1000}) == "a 1,000, b 2"
    assert counts({}) == "0"


def test_the_page_answers_each_question_and_names_what_was_left_out():
    text = page({"service": PART})
    assert "| three clients | 200 | 130 + 35 + 35 | 180 | 24 | 120 | 150 | 1.0 |" in text
    assert "| three copies | 300 | 150 + 150 | 290 | 100 | - | - | 1.0 |" in text
    assert "Left out: a service: its packages did not install." in text
    assert "| numpy | 27.7 | 14.6 | +14.6 |" in text
    assert "have\n44 MB private" in text
    assert "ended with status -9" in text
    assert "| torch's code | 5.0 | - |" in text
    assert "+7.0 and +14.0" in text
    assert "EngineError 3, OverBudgetError 7" in text
    assert "900: 0.90 of it" in text


def test_promises_of_the_service_are_checked_against_the_worse_of_what_was_measured():
    found = {v.target.what: v for v in verdicts({"service": PART}) if v.value is not None}
    values = {what: verdict.value for what, verdict in found.items()}
    assert values["the service alone after 10,000 texts, PSS"] == 150
    assert values["mixed requests: highest resident memory, of the budget"] == 1.05
    assert values["mixed requests: errors that are no right refusals"] == 1000
    assert values["mixed requests in a cgroup of the budget's size: kills for memory"] == 1
    assert values["short queries beside bulk, p99, of one batch and 3 idle p50"] == 1.5
    assert found["one short text through the service, warm, p50"].met


def test_the_cache_is_compared_on_its_worst_stream():
    rates = [
        {"embedwell": 50.0, "LRU": 45.0, "LFU": 51.0},
        {"embedwell": 40.0, "LRU": 41.0, "LFU": 30.0},
    ]
    part = {
        "date": "2026-01-01", "took_s": 9, "machine": PART["machine"], "entries": 1000,
        "look_ups": 60_000, "hit_p50_us": {"float32": 4.0, "float16": 6.0},
        "rows": [{"n_texts": 10_000, "exponent": 1.0, "changes_after": None,
                  "hit_rates": rate | {"LFU, all counted": rate["LFU"]}} for rate in rates],
    }  # fmt: skip
    values = {v.target.what: v.value for v in verdicts({"cache": part})}
    assert values["cache: hit rate less LFU's best, worst Zipf stream"] == -1
    assert values["cache: hit rate less LRU's, worst Zipf stream"] == -1
    assert values["cache: a hit"] == 6
    assert "| 10,000 | 1.0 | - | 50.0 | 45.0 | 51.0 | 51.0 |" in page({"cache": part})
