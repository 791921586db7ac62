"""The text for Prometheus keeps to its format, and counts what happens."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import MODEL
from watching import TellingRuntime

from embedwell.core.events import Event
from embedwell.server.about.monitoring import samples
from embedwell.server.shared import metrics
from embedwell.server.shared.metrics import BUCKETS_S, METRICS, Counters, Sample, table, written
from embedwell.server.shared.service import Service

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
PAIR = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
LINE = re.compile(rf"^({NAME})(?:\{{({PAIR}(?:,{PAIR})*)\}})? ([0-9.e+-]+)$")
ENDINGS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Samples by name and labels; asserts every rule of the text format that applies to us."""
    assert text.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    helped, typed, family, kind = set(), set(), "", ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in helped, "one group a family"
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert name not in typed
            typed.add(name)
        else:
            match = LINE.match(line)
            assert match, line
            name, labels, value = match.groups()
            assert name in {family + ending for ending in ENDINGS[kind]}, line
            values = found.setdefault(name, {})
            assert (labels or "") not in values, "each sample once"
            values[labels or ""] = float(value)
    return found


@pytest.fixture
def service():
    runtime = TellingRuntime()
    served = Service(runtime.settings, runtime)
    yield served
    served.close()


def test_everything_the_service_writes_is_in_the_format(fake_service):
    fake_service.post("/v1/embed", json={"model": MODEL, "texts": ["one", "two"]})
    fake_service.get("/nowhere/at/all")
    answer = fake_service.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = parsed(answer.text)
    requests = found["embedwell_requests_total"]
    assert requests['method="POST",route="/v1/embed",status="200"'] == 1
    assert requests['method="GET",route="none",status="404"'] == 1
    assert found["embedwell_texts_total"] == {f'artifact="{MODEL}@q8"': 2}
    assert found["embedwell_tokens_total"][f'artifact="{MODEL}@q8"'] >= 2
    assert found["embedwell_model_bytes"] == {f'artifact="{MODEL}@q8",state="loaded"': 23e6}
    assert found["embedwell_process_resident_bytes"][""] > 1e6
    assert sum(found["embedwell_pressure_level"].values()) == 1
    assert 0 <= found["embedwell_pressure_ratio"][""] <= 1


def test_what_happens_to_models_is_counted_by_its_reason(service):
    for kind, detail in (
        ("loaded", {"took_s": 0.5}),
        ("loaded", {"took_s": 0.25}),
        ("unloaded", {"reason": "idle"}),
        ("refused", {"reason": "budget"}),
        ("warning", {"fraction": 0.9}),
        ("pressure", {"level": "high"}),
    ):
        service.tell(Event(kind, "m@q8", detail))
    found = parsed(written(samples(service)))
    assert found["embedwell_model_loads_total"] == {'artifact="m@q8"': 2}
    assert found["embedwell_model_load_seconds_total"] == {'artifact="m@q8"': 0.75}
    assert found["embedwell_model_unloads_total"] == {'artifact="m@q8",reason="idle"': 1}
    assert found["embedwell_model_refusals_total"] == {'reason="budget"': 1}
    assert found["embedwell_memory_warnings_total"] == {"": 1}


@given(st.lists(st.floats(0, 100), min_size=1))
def test_a_histogram_counts_all_that_is_at_most_its_limit(taken):
    counters = Counters()
    for seconds in taken:
        counters.observe(metrics.DURATION, "/v1/embed", seconds=seconds)
    found = parsed(written(counters.samples()))
    name = "embedwell_request_duration_seconds"
    for limit in (*BUCKETS_S, math.inf):
        shown = "+Inf" if limit == math.inf else repr(limit)
        n_below = sum(seconds <= limit for seconds in taken)
        assert found[f"{name}_bucket"][f'route="/v1/embed",le="{shown}"'] == n_below
    assert found[f"{name}_count"]['route="/v1/embed"'] == len(taken)
    assert math.isclose(found[f"{name}_sum"]['route="/v1/embed"'], math.fsum(taken), rel_tol=1e-9)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])))
def test_any_label_is_escaped(label):
    for text in (label, label + '"\\\n"'):
        parsed(written([Sample(metrics.LOADS, (text,), 1)]))


def test_names_follow_prometheus_conventions_and_are_in_the_table():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert re.fullmatch(r"[a-z][a-z_]*", metric.name)
        assert not re.search(r"_(ms|mb|kb|percent|minutes)(_|$)", metric.name), "base units"
        assert metric.help.endswith(".")
        assert f"`embedwell_{metric.name}`" in table()
    defined = {value for value in vars(metrics).values() if isinstance(value, metrics.Metric)}
    assert defined == set(METRICS), "each one that is defined is written"
