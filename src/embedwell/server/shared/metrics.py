"""What the service measures, as data, and its text for Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

METRICS_PATH = "/metrics"
# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One family of numbers.

    Attributes:
        name: Without the prefix `embedwell_`; in base units, counters ending in `_total`.
        kind: What Prometheus should know it as.
        help: What it means, one sentence.
        labels: What its numbers are told apart by.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


REQUESTS = Metric(
    "requests_total",
    "counter",
    "Requests that were answered; status 499 where the client left before that.",
    ("method", "route", "status"),
)
DURATION = Metric(
    "request_duration_seconds",
    "histogram",
    "Time from a request's first byte to its answer's last, streams left out.",
    ("route",),
)
TEXTS = Metric(
    "texts_total", "counter", "Texts that were embedded, kept vectors included.", ("artifact",)
)
TOKENS = Metric("tokens_total", "counter", "Tokens of these texts, before any cut.", ("artifact",))
LOADS = Metric("model_loads_total", "counter", "Loadings of a model.", ("artifact",))
LOADING = Metric(
    "model_load_seconds_total", "counter", "Time that the loadings took.", ("artifact",)
)
UNLOADS = Metric("model_unloads_total", "counter", "Unloadings of a model.", ("artifact", "reason"))
REFUSALS = Metric("model_refusals_total", "counter", "Loadings that were refused.", ("reason",))
WARNINGS = Metric("memory_warnings_total", "counter", "Warnings of memory above 85 %.")
MODEL_BYTES = Metric(
    "model_bytes",
    "gauge",
    "Memory that a model takes: measured once it is loaded, estimated before.",
    ("artifact", "state"),
)
MODEL_IN_USE = Metric(
    "model_in_use", "gauge", "Callers that are embedding with a model now.", ("artifact",)
)
BUDGET = Metric("memory_budget_bytes", "gauge", "Most memory that the process may take.")
RESIDENT = Metric("process_resident_bytes", "gauge", "Memory that the process takes now (RSS).")
PRESSURE = Metric(
    "pressure_ratio", "gauge", "How full the memory is that others share with us, 0 to 1."
)
LEVEL = Metric("pressure_level", "gauge", "1 for the level of pressure now, else 0.", ("level",))
CACHE_HITS = Metric("cache_hits_total", "counter", "Texts whose vector was kept.")
CACHE_MISSES = Metric("cache_misses_total", "counter", "Texts whose vector was not kept.")
CACHE_EVICTIONS = Metric("cache_evictions_total", "counter", "Vectors dropped for others.")
CACHE_ENTRIES = Metric("cache_entries", "gauge", "Vectors that are kept.")
CACHE_BYTES = Metric("cache_bytes", "gauge", "Memory of the vectors that are kept.")
INDEX_READABLE = Metric(
    "index_readable", "gauge", "1 where a served index can be looked at, else 0.", ("index",)
)
RUN_STATE = Metric(
    "ingestion_run_state",
    "gauge",
    "1 for the state of an index's newest run, else 0.",
    ("index", "state"),
)
DOCUMENTS = Metric(
    "ingestion_documents",
    "gauge",
    "Rows of the open run by status; of the whole queue where none is open.",
    ("index", "status"),
)
DOCUMENT_RATE = Metric(
    "ingestion_documents_per_second",
    "gauge",
    "Documents that all workers together finish in a second, lately.",
    ("index",),
)
CHUNK_RATE = Metric(
    "ingestion_chunks_per_second",
    "gauge",
    "Chunks that all workers together store in a second, lately.",
    ("index",),
)
SECONDS_LEFT = Metric(
    "ingestion_left_seconds",
    "gauge",
    "Time until the run is done; left out where nobody can tell.",
    ("index",),
)
FAILURES = Metric(
    "ingestion_failures",
    "gauge",
    "Rows that failed or were given up, by kind; of the first 1,000.",
    ("index", "kind"),
)
WORKERS = Metric("ingestion_workers", "gauge", "Workers that are alive.", ("index",))
WAITING = Metric("waiting_requests", "gauge", "Requests whose work waits or runs.")
LISTENERS = Metric("event_listeners", "gauge", "Programs that listen to events.")
UPTIME = Metric("uptime_seconds", "gauge", "Time since the service started.")
BUILD = Metric("build_info", "gauge", "Always 1.", ("version", "python"))

METRICS: tuple[Metric, ...] = (
    *(REQUESTS, DURATION, TEXTS, TOKENS),
    *(LOADS, LOADING, UNLOADS, REFUSALS, WARNINGS, MODEL_BYTES, MODEL_IN_USE),
    *(BUDGET, RESIDENT, PRESSURE, LEVEL),
    *(CACHE_HITS, CACHE_MISSES, CACHE_EVICTIONS, CACHE_ENTRIES, CACHE_BYTES),
    *(INDEX_READABLE, RUN_STATE, DOCUMENTS, DOCUMENT_RATE, CHUNK_RATE, SECONDS_LEFT),
    *(FAILURES, WORKERS),
    *(WAITING, LISTENERS, UPTIME, BUILD),
)

# From a cached short text over the socket to a bulk request, in seconds.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


class Counters:
    """Counts, and durations in buckets; safe to add to from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[tuple[Metric, Labels], float] = defaultdict(float)
        self._buckets: defaultdict[tuple[Metric, Labels], list[int]] = defaultdict(
            lambda: [0] * (len(BUCKETS_S) + 1)
        )

    def add(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Count something."""
        with self._lock:
            self._counts[metric, labels] += by

    def observe(self, metric: Metric, *labels: str, seconds: float) -> None:
        """Put a duration into its bucket."""
        with self._lock:
            self._buckets[metric, labels][bisect_left(BUCKETS_S, seconds)] += 1
            self._counts[metric, labels] += seconds

    def total(self, metric: Metric) -> float:
        """The sum over all labels; of a histogram, the sum of its durations."""
        with self._lock:
            return sum(n for (counted, _), n in self._counts.items() if counted is metric)

    def samples(self) -> Iterator[Sample]:
        """Everything counted so far."""
        with self._lock:
            counts, buckets = dict(self._counts), {k: [*v] for k, v in self._buckets.items()}
        for (metric, labels), value in counts.items():
            if metric.kind == "histogram":
                yield from _histogram(metric, labels, value, buckets[metric, labels])
            else:
                yield Sample(metric, labels, value)


@dataclass(frozen=True)
class Sample:
    """One number.

    Attributes:
        metric: What it is of.
        labels: Values of the metric's labels, in their order.
        value: In the metric's unit.
        suffix: Of the name, such as `_bucket`.
        limit: Upper limit of a histogram's bucket; empty for all else.
    """

    metric: Metric
    labels: Labels
    value: float
    suffix: str = ""
    limit: str = ""


def _histogram(
    metric: Metric, labels: Labels, total_s: float, n_in_bucket: Sequence[int]
) -> Iterator[Sample]:
    n_below = 0
    for limit, n in zip((*map(repr, BUCKETS_S), "+Inf"), n_in_bucket, strict=True):
        n_below += n
        yield Sample(metric, labels, n_below, "_bucket", limit)
    yield Sample(metric, labels, total_s, "_sum")
    yield Sample(metric, labels, n_below, "_count")


def written(samples: Iterable[Sample]) -> str:
    """Samples in Prometheus' text format 0.0.4, each metric together, in `METRICS`' order."""
    by_metric: defaultdict[Metric, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_metric[sample.metric].append(sample)
    lines: list[str] = []
    for metric in METRICS:
        if found := by_metric.get(metric):
            name = f"embedwell_{metric.name}"
            lines += [f"# HELP {name} {_escaped(metric.help)}", f"# TYPE {name} {metric.kind}"]
            lines += [f"{name}{s.suffix}{_labels(s)} {_number(s.value)}" for s in found]
    return "\n".join(lines) + "\n"


def _labels(sample: Sample) -> str:
    pairs: Mapping[str, str] = dict(zip(sample.metric.labels, sample.labels, strict=True))
    if sample.limit:
        pairs = {**pairs, "le": sample.limit}
    shown = ",".join(f'{k}="{_escaped(v, quotes=True)}"' for k, v in pairs.items())
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def table() -> str:
    """Every metric, as Markdown."""
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `embedwell_{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)
