"""The section of the page about static models."""

from __future__ import annotations

from benchmarks.tables import Column, Row, number, numbers, table, value

STATIC = """\
## A static model, distilled

`embedwell models distill all-MiniLM-L6-v2` took {took_s} s and at most {peak_mb} MB, on one thread
and without a text. Teacher and student at q8, one thread, medians over visits:

{speed}

Spearman correlation with human judgement, and nDCG@10, in hundredths:

{quality}
"""
CORPORA = ("short", "128", "mixed")


def static_models(part: Row) -> str:
    """What it costs to make, its speed and its worth beside its teacher."""
    speed: list[Column] = [
        ("engine", value("engine")),
        *((f"{name}, tokens/s", _speed(name)) for name in CORPORA),
        ("one query, p50 ms", number("query_p50_ms", 2)),
        ("cold start s", number("cold_start_s", 2)),
        ("loaded / after bulk MB", numbers(["rss_loaded_mb", "rss_after_mb"], 0)),
    ]
    rows = [_quality(part, row["engine"]) for row in part["sts"]]
    quality: list[Column] = [
        (name, value("engine") if name == "engine" else number(name, 1)) for name in rows[0]
    ]
    return STATIC.format(
        **part["distil"], speed=table(speed, part["speed"]), quality=table(quality, rows)
    )


def _speed(name: str):
    return lambda row: f"{row['tokens_per_s'][name]:,}"


def _quality(part: Row, engine: str) -> Row:
    sts = next(row for row in part["sts"] if row["engine"] == engine)
    found = {"engine": engine} | dict(sts["spearman"])
    for set_ in part["search"]:
        if set_["engine"] == engine:
            for row in set_["rows"]:
                if row["mode"] in {"semantic", "hybrid"}:
                    found[f"{set_['set']} {row['mode']}"] = row["ndcg_10"]
    return found
