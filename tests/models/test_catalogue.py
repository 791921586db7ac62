import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import UnknownModelError
from embedwell.models import catalogue as catalogue_module
from embedwell.models.catalogue import ModelCard, card, catalogue
from embedwell.models.networks.registry import FAMILIES

CARDS = list(catalogue().values())


def test_the_default_model_is_complete():
    row = card("all-MiniLM-L6-v2")
    assert row.files.keys() == {"config.json", "tokenizer.json", "model.safetensors"}
    assert row.wheel is not None
    assert row.first_values is not None
    assert (row.dimensions, row.max_tokens, row.pooling) == (384, 256, "mean")


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="all-MiniLM-L6-v2"):
        card("all-MiniLM-L7")


@pytest.mark.parametrize("row", CARDS, ids=lambda row: row.name)
class TestEveryRow:
    def test_files_are_pinned_by_hash_and_size_or_at_first_use(self, row):
        pins = [*row.files.values(), *([row.gguf.pin] if row.gguf else [])]
        assert pins
        for pin in pins:
            assert re.fullmatch("[0-9a-f]{64}|", pin.sha256)
            assert pin.sha256 or not pin.size_bytes

    def test_the_revision_is_a_commit_or_is_recorded_at_first_use(self, row):
        assert re.fullmatch("[0-9a-f]{40}|main", row.revision)
        assert re.fullmatch("[^/]+/[^/]+", row.hub_id)

    def test_its_architecture_is_one_that_can_be_built(self, row):
        assert row.architecture in {*FAMILIES, "static"}

    def test_a_cut_is_shorter_than_the_whole(self, row):
        assert all(length < row.dimensions for length in row.matryoshka)
        assert row.matryoshka == tuple(sorted(row.matryoshka, reverse=True))

    def test_languages_are_codes(self, row):
        assert row.languages
        assert all(re.fullmatch("[a-z]{2}", code) for code in row.languages)

    def test_no_entry_is_misspelt(self, row):
        text = Path(catalogue_module.__file__).with_name("catalogue.toml").read_text("utf-8")
        assert tomllib.loads(text)[row.name].keys() <= {field.name for field in fields(ModelCard)}

    def test_the_name_can_be_a_folders(self, row):
        assert re.fullmatch(r"[\w.-]+", row.name)

    def test_the_space_repeats_what_the_row_says(self, row):
        assert row.space.model == row.name
        assert row.space.dimensions == row.dimensions

    def test_agreement_is_about_lower_quantizations(self, row):
        assert set(row.agreement) <= set(QUANTIZATIONS) - {"q32"}
