"""The catalogue's networks are all among those whose memory is measured."""

import pytest
from benchmarks.model_memory import NETWORKS, models_of, random_source

from embedwell.models.catalogue import catalogue


def test_every_network_of_the_catalogue_is_measured():
    sizes = {name.partition(",")[0].split()[0] for name in NETWORKS}
    assert {row.architecture for row in catalogue().values()} <= {*sizes, "static"}


def test_the_models_of_a_network_are_found_by_its_size(tmp_path):
    source = random_source("bert 384 x 3", tmp_path)
    assert models_of(source.card) == ["paraphrase-MiniLM-L3-v2"]
    assert source.card.n_parameters == pytest.approx(17_400_000, rel=0.01)
