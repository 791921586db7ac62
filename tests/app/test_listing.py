"""What people see of the models that they may choose."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import fitting
from embedwell.app.models.listing import all_listed, listed, ram
from embedwell.cli.main import cli
from embedwell.core.artifact import QUANTIZATIONS
from embedwell.models.catalogue import card, catalogue
from embedwell.models.known import Known
from embedwell.models.shelf import Brought, Shelf


@pytest.mark.parametrize("row", catalogue().values(), ids=lambda row: row.name)
def test_every_model_has_an_estimate_at_every_level(row):
    found = ram(row)
    if row.architecture == "static":
        assert found["q8"] < found["q16"] < found["q32"]
        return
    assert set(found) == set(QUANTIZATIONS)
    assert found["q8"] < found["q4"] < found["q16"] < found["q32"]  # q4 is packed twice


def test_a_shorter_vector_takes_the_memory_of_the_whole_model(tmp_path):
    known = Known(tmp_path)
    assert ram(known.card("nomic-embed-text-v1.5:64")) == ram(known.card("nomic-embed-text-v1.5"))


def test_what_the_user_brought_is_listed_too(tmp_path):
    own = replace(card("all-minilm"), name="hf:someone/own", languages=())
    Shelf(tmp_path).keep(Brought(own.name, own))
    last = all_listed(Settings(cache=tmp_path))[-1]
    assert last.card == own
    assert last.languages == "unknown"


def test_many_languages_are_counted_and_few_are_named(tmp_path):
    settings = Settings(cache=tmp_path)
    assert listed(settings, card("all-minilm")).languages == "en"
    assert listed(settings, card("multilingual-e5-small")).languages.isdecimal()
    assert listed(settings, card("all-minilm")).standing == "verified"
    assert listed(settings, card("bge-m3")).standing == "unverified"


def test_the_list_tells_memory_latency_and_standing(real_cache):
    rows = json.loads(CliRunner().invoke(cli, ["models", "list", "--json"]).stdout)
    first = rows[0]
    assert (first["name"], first["latency"], first["verified"]) == ("all-MiniLM-L6-v2", "low", True)
    assert first["ram_bytes"]["q8"] > 23_000_000
    assert "q8" in first["here"]
    table = CliRunner().invoke(cli, ["models", "list"]).stdout
    assert "unverified" in table
    assert "RAM" in table
    assert "a score" in table


def test_a_model_is_shown_with_each_level_and_each_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CACHE", str(tmp_path))
    shown = CliRunner().invoke(cli, ["models", "show", "nomic-embed-text-v1.5:256"]).stdout
    assert "RAM at q4" in shown
    assert "recorded at first use" in shown
    assert not any(mark in shown for mark in "{('")  # words, not Python's
    assert all(line == line.strip() for line in shown.splitlines())
    assert shown.startswith("name")
    found = json.loads(
        CliRunner().invoke(cli, ["models", "show", "nomic-embed-text-v1.5:256", "--json"]).stdout
    )
    assert (found["dimensions"], found["full_dimensions"]) == (256, 768)


@pytest.mark.parametrize(
    ("asked", "max_tokens", "expected"),
    [(0, 256, 250), (0, 8192, 506), (1000, 8192, 1000), (1000, 256, 250), (100, 8192, 100)],
)
def test_chunks_stay_short_however_long_a_text_the_model_takes(asked, max_tokens, expected):
    assert fitting(asked, max_tokens) == expected
