"""The published evaluation data, read into plain values."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Retrieval:
    """Questions over a corpus, with what answers each of them.

    Attributes:
        name: How tables call it.
        documents: Text by document id.
        questions: Text by question id.
        answers: Ids of the right documents by question id.
    """

    name: str
    documents: Mapping[str, str]
    questions: Mapping[str, str]
    answers: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs and how similar people found them (0 to 5)."""

    name: str
    left: list[str]
    right: list[str]
    gold: list[float]


def sts_b(data: Path, language: str) -> Pairs:
    """STS-B, dev split, `en` or `fr`."""
    with (data / "stsb" / f"stsb-{language}-dev.csv").open(encoding="utf-8", newline="") as file:
        left, right, gold = zip(*csv.reader(file), strict=True)
    return Pairs(f"STS-B dev {language}", list(left), list(right), [float(g) for g in gold])


def scifact(data: Path) -> Retrieval:
    """Scientific claims and the abstracts that speak for or against them."""
    folder = data / "scifact"
    documents = {
        row["_id"]: f"{row['title']}\n{row['text']}" for row in _json_lines(folder / "corpus.jsonl")
    }
    questions = {row["_id"]: row["text"] for row in _json_lines(folder / "queries.jsonl")}
    answers: dict[str, set[str]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            answers.setdefault(row["query-id"], set()).add(row["corpus-id"])
    return _retrieval("SciFact", documents, questions, answers)


def cosqa(data: Path) -> Retrieval:
    """Web queries and the Python functions that answer them."""
    functions = json.loads((data / "cosqa" / "code_idx_map.txt").read_text("utf-8"))
    rows = json.loads((data / "cosqa" / "cosqa-retrieval-dev-500.json").read_text("utf-8"))
    return _retrieval(
        "CoSQA",
        {str(i): code for code, i in functions.items()},
        {row["idx"]: row["doc"] for row in rows},
        {row["idx"]: {str(row["retrieval_idx"])} for row in rows},
    )


def piaf(data: Path) -> Retrieval:
    """French questions and the paragraphs that they were written about."""
    articles = json.loads((data / "piaf" / "piaf-v1.0.json").read_text("utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(str(i), qa) for i, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    return _retrieval(
        "PIAF",
        {str(i): paragraph["context"] for i, paragraph in enumerate(paragraphs)},
        {qa["id"]: qa["question"] for _, qa in asked},
        {qa["id"]: {i} for i, qa in asked},
    )


def _retrieval(
    name: str,
    documents: Mapping[str, str],
    questions: Mapping[str, str],
    answers: Mapping[str, set[str]],
) -> Retrieval:
    judged = {q: frozenset(answers[q]) for q in questions if q in answers}
    return Retrieval(name, documents, {q: questions[q] for q in judged}, judged)


def _json_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
