import xml.etree.ElementTree as ET

import pytest
from benchmarks.chart import bars
from benchmarks.report import page
from benchmarks.sections import worse_than_a_peer
from benchmarks.tables import number, table, value
from benchmarks.targets import TARGETS, Target, Verdict, row, verdicts


def speed_row(engine, tokens_per_s, *, n_threads=1, query=1.0, memory=100):
    return {
        "engine": engine,
        "n_threads": n_threads,
        "n_visits": 3,
        "tokens_per_s": dict.fromkeys(("short", "128", "mixed"), tokens_per_s),
        "query_p50_ms": query,
        "query_p99_ms": 2 * query,
        "cold_start_s": 0.2,
        "rss_loaded_mb": memory,
        "rss_after_mb": memory,
        "peak_mb": memory,
    }


ROWS = [
    speed_row("sentence-transformers", 4000, query=8, memory=500),
    speed_row("fastembed", 9000, query=3, memory=300),
    speed_row("onnxruntime int8 dynamic", 20_000, query=0.8, memory=90),
    speed_row("embedwell q8", 24_000),
    speed_row("embedwell q8", 48_000, n_threads=2),
]
MACHINE = {
    "processor": "P",
    "instructions": ["avx2"],
    "n_cores": 2,
    "memory_gib": 8,
    "system": "S",
    "python": "3",
    "embedwell": "0",
    "load_before": 0.1,
}
SPEED = {"rows": ROWS, "missing": ["llama.cpp: no compiler"], "date": "2026-01-01", "took_s": 5,
         "machine": MACHINE, "corpora": {"short": {"n_texts": 2, "n_tokens": 30}}}  # fmt: skip


def test_a_table_has_a_line_for_each_row_and_a_dash_where_nothing_was_measured():
    columns = [("engine", value("engine")), ("s", number("s", 2))]
    lines = table(columns, [{"engine": "a", "s": 1.234}, {"engine": "b"}]).splitlines()
    assert lines == ["| engine | s |", "| --- | --- |", "| a | 1.23 |", "| b | - |"]


def test_what_is_worse_than_a_peer_on_one_thread_is_named():
    assert worse_than_a_peer(ROWS, "embedwell q8") == [
        "one query, p50 ms: onnxruntime int8 dynamic 0.8; here 1",
        "memory when loaded MB: onnxruntime int8 dynamic 90; here 100",
        "memory after bulk MB: onnxruntime int8 dynamic 90; here 100",
    ]


@pytest.mark.parametrize(
    ("sign", "bound", "measured", "met"),
    [("≥", 5, 5.1, True), ("≥", 5, 4.9, False), ("≤", 5, 5.0, True), ("≤", 5, None, None)],
)
def test_a_target_is_met_missed_or_not_measured(sign, bound, measured, met):
    assert Verdict(Target("x", sign, bound, lambda _: 0.0), measured).met is met


def test_targets_of_parts_that_were_not_run_have_no_value():
    found = {verdict.target.what: verdict.value for verdict in verdicts({"speed": SPEED})}
    assert found["q8 at 128 tokens, over sentence-transformers"] == 6
    assert found["q8, one query, of dynamic int8's p50"] == pytest.approx(1.25)
    assert found["re-indexing 10,000 unchanged files"] is None
    assert len(found) == len(TARGETS)


def test_a_row_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="nobody"):
        row(ROWS, engine="nobody")


def test_the_page_shows_what_was_measured_and_what_was_left_out():
    text = page({"speed": SPEED})
    assert "| q8 at 128 tokens, over sentence-transformers | ≥ 5 x | 6.00 x | yes |" in text
    assert "Left out: llama.cpp: no compiler." in text
    assert "embedwell q8, 2 threads" in text
    assert "## Quality" not in text


def test_the_chart_is_valid_and_its_longest_bar_is_the_highest_value():
    svg = ET.fromstring(bars("T & U", ("a", "b"), {"x<y": [1, 2], "embedwell": [4, 3]}))
    widths = [float(r.get("width")) for r in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert max(widths[3:]) == 420
    assert "x<y" in {t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")}
