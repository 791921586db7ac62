"""What embedwell promises, checked against the committed results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal

from benchmarks.budget import N_REQUESTS
from benchmarks.engines import DYNAMIC, OURS, REFERENCE
from benchmarks.responsiveness import SERVICE
from benchmarks.searchers import FILTERS
from benchmarks.vector_search import NATIVE, NUMPY

Results = Mapping[str, Any]  # what the parts' JSON files hold, by part
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A promise: what is measured, and what it must be at least or at most."""

    what: str
    sign: Literal["≥", "≤"]
    bound: float
    measured: Callable[[Results], float]
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target with what was measured; None where that part has not been run."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept."""
        if self.value is None:
            return None
        bound = self.target.bound
        return self.value >= bound if self.target.sign == "≥" else self.value <= bound


def verdicts(results: Results) -> list[Verdict]:
    """Every target with its value."""
    found = []
    for target in TARGETS:
        try:
            found.append(Verdict(target, target.measured(results)))
        except (KeyError, IndexError):
            found.append(Verdict(target, None))
    return found


def row(rows: list[Row], **wanted: object) -> Row:
    """The first row with these values.

    Raises:
        KeyError: There is none.
    """
    for candidate in rows:
        if all(candidate[name] == value for name, value in wanted.items()):
            return candidate
    raise KeyError(str(wanted))


def _speed(results: Results, engine: str) -> Row:
    return row(results["speed"]["rows"], engine=engine, n_threads=1)


def _ratio(corpus: str, other: str) -> Callable[[Results], float]:
    """q8's throughput over another's."""

    def measured(results: Results) -> float:
        ours, theirs = _speed(results, OURS), _speed(results, other)
        return float(ours["tokens_per_s"][corpus] / theirs["tokens_per_s"][corpus])

    return measured


def _least_over_dynamic(results: Results) -> float:
    return min(_ratio(corpus, DYNAMIC)(results) for corpus in ("short", "128", "mixed"))


def _query_ratio(results: Results) -> float:
    ours, theirs = _speed(results, OURS), _speed(results, DYNAMIC)
    return float(ours["query_p50_ms"] / theirs["query_p50_ms"])


def _agreement(engine: str, column: str) -> Callable[[Results], float]:
    def measured(results: Results) -> float:
        return float(row(results["agreement"]["rows"], engine=engine)[column])

    return measured


def _sts_distance(engine: str) -> Callable[[Results], float]:
    """How far STS-B is from sentence-transformers', the worse of the languages."""

    def measured(results: Results) -> float:
        ours = row(results["quality"]["sts"], engine=engine)["spearman"]
        theirs = row(results["quality"]["sts"], engine=REFERENCE)["spearman"]
        return max(abs(ours[name] - theirs[name]) for name in theirs)

    return measured


def _searched(results: Results, mode: str) -> list[float]:
    return [row(s["rows"], mode=mode)["ndcg_10"] for s in results["quality"]["search"]]


def _scifact_distance(results: Results) -> float:
    theirs = row(results["quality"]["scifact"], engine=REFERENCE)["ndcg_10"]
    q32 = row(results["quality"]["scifact"], engine="embedwell q32")["ndcg_10"]
    q8 = row(row(results["quality"]["search"], set="SciFact")["rows"], mode="semantic")["ndcg_10"]
    return float(max(abs(theirs - q32), abs(theirs - q8)))


def _hybrid_over(*modes: str) -> Callable[[Results], float]:
    """Hybrid's mean nDCG@10 over the three sets, less the best of other modes'."""

    def measured(results: Results) -> float:
        others = max(mean(_searched(results, mode)) for mode in modes)
        return mean(_searched(results, "hybrid")) - others

    return measured


def _help_over_bare(results: Results) -> float:
    starts = results["product"]["starts"]
    return float(starts["help_s"] - starts["bare_interpreter_s"])


def _product(part: str, column: str) -> Callable[[Results], float]:
    return lambda results: float(results["product"][part][column])


def _conversion_peak(results: Results) -> float:
    return max(float(r["peak_mb"]) for r in results["product"]["conversion"])


def _service(*path: str | int) -> Callable[[Results], float]:
    """A number in the service's results, by the way to it."""

    def measured(results: Results) -> float:
        found: Any = results["service"]
        for step in path:
            found = found[step]
        return float(found)

    return measured


def _of_budget(results: Results) -> float:
    """The highest resident memory over the budget, free and in the cgroup."""
    return max(float(row["of_budget"]) for row in results["service"]["budget"]["rows"])


def _wrong_errors(results: Results) -> float:
    """Requests that were neither answered nor refused for a reason that is right."""
    rows = results["service"]["budget"]["rows"]
    return float(max(_unaccounted(row) for row in rows))


def _unaccounted(row: Row) -> int:
    if row["status"]:
        return N_REQUESTS
    refused = sum(row["errors"].get(name, 0) for name in REFUSALS)
    return int(row["n_requests"] - row["n_answered"] - refused)


def _answered(results: Results) -> float:
    """The least share of the requests that got their vectors."""
    rows = results["service"]["budget"]["rows"]
    return min(float(row.get("n_answered", 0)) for row in rows) / N_REQUESTS


def _socket_p50(results: Results) -> float:
    return float(row(results["service"]["one_text"]["rows"], how=SERVICE)["p50_ms"])


def _over_bound(results: Results) -> float:
    """p99 of short queries under bulk, over its bound; the worse number of bulk clients."""
    rows = results["service"]["beside_bulk"]["rows"]
    return max(float(r["p99_ms"] / r["bound_ms"]) for r in rows if r["how"] == SERVICE)


def _whole(store: str, column: str) -> Callable[[Results], float]:
    return lambda results: float(row(results["ingestion"]["whole"], store=store)[column])


def _lowest_share(folder: str) -> Callable[[Results], float]:
    def measured(results: Results) -> float:
        rows = results["ingestion"]["shares"]
        return min(float(r["raw_share"]) for r in rows if r["folder"] == folder)

    return measured


# What a runtime may rightly answer when memory does not suffice.
REFUSALS = ("OverBudgetError", "PressureError", "ServiceBusyError")


def _hits_over(*policies: str) -> Callable[[Results], float]:
    """The cache's hit rate less the best of other policies', in points, on the worst Zipf stream.

    Those whose popular texts change meanwhile are no Zipf streams: the page shows them, unpromised.
    """

    def measured(results: Results) -> float:
        rows = results["cache"]["rows"]
        rates = [row["hit_rates"] for row in rows if not row["changes_after"]]
        return min(
            float(rate["embedwell"] - max(rate[name] for name in policies)) for rate in rates
        )

    return measured


RANK_FUSIONS = ("rank fusion, k = 10", "rank fusion, k = 60")


def _nearest(system: str, n: int, *names: str) -> Callable[[Results], float]:
    """A figure of one system among so many vectors."""

    def measured(results: Results) -> float:
        found: Any = row(results["vector_search"]["rows"], system=system, n=n)
        for name in names:
            found = found[name]
        return float(found)

    return measured


def _least_recall(results: Results) -> float:
    """The lowest recall of ours, at any size, filtered or not, before changes and after."""
    ours = [r for r in results["vector_search"]["rows"] if r["system"] in (NUMPY, NATIVE)]
    searches = ("all", "10 %", "1 %", "changed")
    return float(min(r[name]["recall"] for r in ours for name in searches))


def _judged(*, harmful: bool) -> Callable[[Results], float]:
    """Share of the reported wrong readers that the handshake judges as it must."""

    def measured(results: Results) -> float:
        part = results["wrong_readers"]
        reported = [row for row in part["rows"] if row["half"] == "reported"]
        bound = [
            row["holds"] for row in reported
            if (row["overlap"] < part["refused_below"] if harmful
                else row["overlap"] > part["admitted_above"])
        ]  # fmt: skip
        return mean(bound)

    return measured


def _pair_mb(loaded: str) -> Callable[[Results], float]:
    """The service's memory with some of the pair's models."""
    return lambda results: float(
        row(results["text_and_code"]["memory"], loaded=loaded)["embedwell"]
    )


def _pair_gain(results: Results) -> float:
    """What the better of the two split pairs finds beyond the better model alone."""
    rows, name = results["text_and_code"]["quality"], "CoSQA semantic nDCG@10"
    if not rows:
        raise KeyError(name)
    alone = [one[name] for one in rows if one["models"].endswith("alone")]
    split = [one[name] for one in rows if one["models"].endswith("split")]
    return float(max(split) - max(alone))


def _static_ratio(results: Results) -> float:
    """Throughput of the static model over its teacher's, where that is least."""
    teacher, student = (one["tokens_per_s"] for one in results["static_models"]["speed"])
    return float(min(student[name] / teacher[name] for name in teacher))


TARGETS = (
    Target("q32: STS-B, distance to sentence-transformers", "≤", 0.05,
           _sts_distance("embedwell q32")),
    Target("q8: STS-B, distance to sentence-transformers", "≤", 0.5, _sts_distance(OURS)),
    Target("SciFact semantic nDCG@10, distance to sentence-transformers", "≤", 0.5,
           _scifact_distance),
    Target("hybrid: mean nDCG@10 above both of its parts", "≥", 0.0,
           _hybrid_over("semantic", "lexical")),
    Target("hybrid: mean nDCG@10 above fusion of ranks", "≥", 2.5, _hybrid_over(*RANK_FUSIONS)),
    Target("q8 at 128 tokens, over sentence-transformers", "≥", 5.0, _ratio("128", REFERENCE), "x"),
    Target("q8 on mixed lengths, over sentence-transformers", "≥", 7.5,
           _ratio("mixed", REFERENCE), "x"),
    Target("q8 on short texts, over fastembed", "≥", 2.5, _ratio("short", "fastembed"), "x"),
    Target("q8 over onnxruntime's dynamic int8, worst corpus", "≥", 1.0, _least_over_dynamic, "x"),
    Target("q8, one query, of dynamic int8's p50", "≤", 0.9, _query_ratio, "x"),
    Target("q8, process start to first vector", "≤", 0.3,
           lambda results: float(_speed(results, OURS)["cold_start_s"]), "s"),
    Target("q8 to fp32, natural texts, mean cosine", "≥", 0.998, _agreement(OURS, "natural_mean")),
    Target("q8 to fp32, natural texts, worst cosine", "≥", 0.99, _agreement(OURS, "natural_worst")),
    Target("q8 to fp32, odd texts, worst cosine", "≥", 0.96, _agreement(OURS, "odd_worst")),
    Target("q8, same text alone and in a batch, worst cosine", "≥", 0.99999,
           _agreement(OURS, "company_worst")),
    Target("`embedwell embed` of 10,000 short texts with q8, peak", "≤", 140,
           _product("bulk_embed", "command_peak_mb"), "MB"),
    Target("the same from Python, peak", "≤", 140, _product("bulk_embed", "python_peak_mb"), "MB"),
    Target("converting the model, highest peak", "≤", 250, _conversion_peak, "MB"),
    Target("`embedwell --help` beyond a bare interpreter", "≤", 0.15, _help_over_bare, "s"),
    Target("`embedwell search` on 10,000 chunks, whole process", "≤", 0.6,
           _product("many_files", "search_process_s"), "s"),
    Target("the search itself", "≤", 10, _product("many_files", "search_ms"), "ms"),
    Target("indexing documents, of the bare embedding rate", "≥", 0.85,
           _product("project", "raw_share")),
    Target("re-indexing 10,000 unchanged files", "≤", 2,
           _product("many_files", "reindex_unchanged_s"), "s"),
    Target("three processes that share the service, all together, PSS", "≤", 230,
           _service("sharing", "rows", 0, "highest", "pss_mb"), "MB"),
    Target("the service alone after 10,000 texts, PSS", "≤", 140,
           _service("sharing", "rows", 0, "service_alone", "pss_mb"), "MB"),
    Target("loaded and unloaded ten times: private memory above that before", "≤", 8,
           _service("unloading", "private_above_mb"), "MB"),
    Target("the same, resident memory", "≤", 20, _service("unloading", "rss_above_mb"), "MB"),
    Target("the same, private memory's growth from the second cycle on", "≤", 1,
           _service("unloading", "private_growth_mb"), "MB"),
    Target("mixed requests: highest resident memory, of the budget", "≤", 1.1,
           _of_budget),
    Target("mixed requests: errors that are no right refusals", "≤", 0, _wrong_errors),
    Target("mixed requests: answered, of all", "≥", 0.95, _answered),
    Target("mixed requests in a cgroup of the budget's size: kills for memory", "≤", 0,
           _service("budget", "rows", 1, "oom_kills")),
    Target("one short text through the service, warm, p50", "≤", 3, _socket_p50, "ms"),
    Target("eight clients through the service, of the in-process rate", "≥", 0.85,
           _service("bulk_clients", "share")),
    Target("short queries beside bulk, p99, of one batch and 3 idle p50", "≤", 1, _over_bound),
    Target("cache: hit rate less LFU's best, worst Zipf stream", "≥", -2,
           _hits_over("LFU", "LFU, all counted"), "points"),
    Target("cache: hit rate less LRU's, worst Zipf stream", "≥", 0, _hits_over("LRU"), "points"),
    Target("cache: a hit", "≤", 10,
           lambda results: max(results["cache"]["hit_p50_us"].values()), "µs"),
    *(Target(f"search among {n:,} vectors{after}, {how}, p50", "≤", bound,
             _nearest(system, n, name, "p50_ms"), "ms")
      for how, system, bounds in (("numpy alone", NUMPY, (1.2, 4, 8)),
                                  ("`embedwell[fast]`", NATIVE, (0.6, 2, 4)))
      for n, bound in zip((100_000, 500_000, 1_000_000), bounds, strict=True)
      for name, after in (("all", ""), ("changed", " after changes"))),
    Target("the same: lowest recall@10, filters and changes too", "≥", 0.99, _least_recall),
    Target("the same, 1,000,000, numpy alone: resident memory", "≤", 110,
           _nearest(NUMPY, 1_000_000, "rss_mb"), "MB"),
    Target("the same: first result after imports", "≤", 300,
           _nearest(NUMPY, 1_000_000, "first_ms"), "ms"),
    Target("PostgreSQL, 100,000: p50 of a search", "≤", 5,
           lambda results: float(results["postgres"]["all"]["p50_ms"]), "ms"),
    Target("PostgreSQL, the same: lowest recall@10, filters and changes too", "≥", 0.99,
           lambda results: min(float(results["postgres"][name]["recall"])
                               for name in (*FILTERS, "changed"))),
    Target("migration under load: failed searches", "≤", 0,
           lambda results: sum(r["n_failed"] for r in results["migration"]["readers"])),
    Target("the same: passages missing beside a fresh index", "≤", 0,
           lambda results: float(results["migration"]["equal_to_fresh"]["missing"])),
    *(Target(f"{store}: files walked, compared and queued a second", "≥", 20_000,
             _whole(store, "queued_files_per_s"))
      for store in ("SQLite", "PostgreSQL")),
    *(Target(f"{store}: 130,000 files again, nothing changed", "≤", 15,
             _whole(store, "unchanged_s"), "s") for store in ("SQLite", "PostgreSQL")),
    Target("files worked off beyond those that changed", "≤", 0,
           lambda results: sum(row["n_changed_done"] - row["n_changed"]
                               for row in results["ingestion"]["whole"])),
    Target("a worker's highest memory in 130,000 files, of that after half of them", "≤", 1.1,
           lambda results: max(row["peak_mb"] / row["rss_mb"][2]
                               for row in results["ingestion"]["whole"])),
    Target("end to end, 10,000 small files, of the bare rate, lowest", "≥", 0.85,
           _lowest_share("10,000 small files")),
    Target("end to end, documents and modules, of the bare rate, two cores", "≥", 0.95,
           lambda results: float(row(results["ingestion"]["shares"], n_cores=2,
                                     folder="documents and modules")["raw_share"])),
    Target("wrong readers that cost more than a tenth of the top 10: refused", "≥", 1,
           _judged(harmful=True)),
    Target("readers that cost less than a fiftieth of it: let in", "≥", 1, _judged(harmful=False)),
    *(Target(f"the service with the 768-d pair at q8, {loaded}", "≤", most, _pair_mb(loaded), "MB")
      for loaded, most in (("text alone", 260), ("text and code", 450))),
    Target("CoSQA beside text: nDCG@10 of text and code beyond the better model alone", "≥", 0,
           _pair_gain),
    Target("static model, tokens/s over its teacher's q8, where least", "≥", 25.0, _static_ratio,
           "x"),
    Target("static model, resident after bulk", "≤", 75.0,
           lambda results: float(results["static_models"]["speed"][1]["rss_after_mb"]), "MB"),
    Target("distilling all-MiniLM-L6-v2", "≤", 90.0,
           lambda results: float(results["static_models"]["distil"]["took_s"]), "s"),
)  # fmt: skip
