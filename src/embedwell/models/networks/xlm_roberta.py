"""XLM-RoBERTa (Conneau et al. 2020, https://arxiv.org/abs/1911.02116), RoBERTa and CamemBERT.

They are BERTs whose positions are counted from the number of the padding token plus one.
"""

from __future__ import annotations

from dataclasses import replace

from embedwell.models.networks import bert
from embedwell.models.networks.family import Family, Fields, Network

_TYPES = ("xlm-roberta", "roberta", "camembert")


def read(fields: Fields) -> Network:
    """Read `config.json`."""
    network = bert.read(fields)
    first = int(fields["pad_token_id"]) + 1
    config = replace(
        network.config, first_position=first, max_tokens=network.config.n_positions - first
    )
    return replace(network, config=config)


FAMILY = Family(
    name="xlm_roberta",
    claims=lambda fields: fields["model_type"] in _TYPES,
    read=read,
    heads={"pooler": "classifier.dense", "classifier": "classifier.out_proj"},
)
