import re

import pytest

from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import UnknownModelError
from embedwell.models.catalogue import card, catalogue

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
    def test_files_are_pinned_by_hash_and_size(self, row):
        assert row.files
        for pin in row.files.values():
            assert re.fullmatch("[0-9a-f]{64}", pin.sha256)
            assert pin.size_bytes > 0

    def test_the_revision_is_a_commit(self, row):
        assert re.fullmatch("[0-9a-f]{40}", row.revision)
        assert re.fullmatch("[^/]+/[^/]+", row.hub_id)

    def test_the_name_can_be_a_folders(self, row):
        assert re.fullmatch(r"[\w.-]+", row.name)

    def test_the_space_repeats_what_the_row_says(self, row):
        assert row.space.model == row.name
        assert row.space.dimensions == row.dimensions

    def test_agreement_is_about_lower_quantizations(self, row):
        assert set(row.agreement) <= set(QUANTIZATIONS) - {"q32"}
