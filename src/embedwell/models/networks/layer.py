"""The order of a network's parts, written once: for graphs, for numpy, for calibration."""

from __future__ import annotations

from typing import Protocol, TypeVar

from embedwell.models.networks.config import EncoderConfig, Site

V = TypeVar("V")


class Parts(Protocol[V]):
    """What layers are made of. A value V stands for one vector a token."""

    def dense(self, x: V, site: Site) -> list[V]:
        """Each dense part of a site applied to one input, in the order of `site.names`."""
        ...

    def norm(self, x: V, name: str) -> V:
        """The layer norm of that name."""
        ...

    def add(self, a: V, b: V) -> V:
        """The sum."""
        ...

    def attend(self, parts: list[V], layer: int) -> V:
        """What the tokens take from one another, from query, key and value."""
        ...

    def activate(self, parts: list[V]) -> V:
        """The activated first part, times the second one where there is one."""
        ...


def run_layers(config: EncoderConfig, parts: Parts[V], x: V) -> V:
    """Token vectors through all layers.

    Args:
        config: The network.
        parts: What computes or writes each part.
        x: What enters the first layer.
    """
    for layer in range(config.n_layers):
        x = _layer(config, parts, x, layer)
    return parts.norm(x, "final_norm") if config.prenorm else x


def _layer(config: EncoderConfig, parts: Parts[V], x: V, layer: int) -> V:
    attention_in, attention_out, ffn_in, ffn_out = config.sites(layer)
    entering = parts.norm(x, f"{layer}.attention_norm") if config.norms_input(layer) else x
    query, key, value = parts.dense(entering, attention_in)
    if config.query_key_norm:
        query = parts.norm(query, f"{layer}.query_norm")
        key = parts.norm(key, f"{layer}.key_norm")
    (mixed,) = parts.dense(parts.attend([query, key, value], layer), attention_out)
    after = _after_attention(config, parts, (parts.add(mixed, x), x), layer)
    entering = parts.norm(after, f"{layer}.ffn_norm") if config.prenorm else after
    (outer,) = parts.dense(parts.activate(parts.dense(entering, ffn_in)), ffn_out)
    leaving = parts.add(outer, after)
    return leaving if config.prenorm else parts.norm(leaving, f"{layer}.ffn_norm")


def _after_attention(config: EncoderConfig, parts: Parts[V], sums: tuple[V, V], layer: int) -> V:
    """What enters the feed-forward part, from the sum after attention and the layer's input."""
    total, x = sums
    if config.prenorm:
        return total
    normed = parts.norm(total, f"{layer}.attention_norm")
    if not config.input_again:
        return normed
    return parts.norm(parts.add(normed, x), f"{layer}.attention_norm_2")
