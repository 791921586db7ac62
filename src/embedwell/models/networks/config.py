"""What a network is, whichever family it belongs to: its sizes, and where it departs from BERT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]
Place = Literal["attention_in", "attention_out", "ffn_in", "ffn_out"]
Activation = Literal["gelu", "gelu_tanh", "silu"]


@dataclass(frozen=True)
class Head:
    """What turns the first token's vector into scores.

    Attributes:
        n_labels: How many scores there are.
        activation: Between its two dense parts.
        bias: Whether its first dense part has one.
        norm: Whether a layer norm follows the activation.
        mean: Whether it takes the mean of all tokens instead of the first.
    """

    n_labels: int
    activation: Activation | Literal["tanh"] = "tanh"
    bias: bool = True
    norm: bool = False
    mean: bool = False


@dataclass(frozen=True)
class Site:
    """An input that one or more dense parts of a layer share.

    Attributes:
        layer: Counted from 0.
        place: Which input of the layer it is.
        names: Tensor names of the dense parts, without `.weight` and `.bias`.
    """

    layer: int
    place: Place
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """`layer.place`, as recipes name it."""
        return f"{self.layer}.{self.place}"


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder's sizes and variants. The defaults are those of BERT.

    Tensors have names of our own, the same in every family: `words`, `positions`, `types`,
    `relative_bias`, `embedding_norm`; in each layer `0.query`, `0.key`, `0.value`,
    `0.attention_out`, `0.attention_norm`, `0.ffn_up`, `0.ffn_down`, `0.ffn_norm`; `0.query_norm`,
    `0.key_norm`, `0.attention_norm_2` and `0.ffn_gate` where the network has them; `final_norm`,
    `pooler`, `pooler_norm`, `classifier`. Each ends in `.weight` or `.bias`.

    Attributes:
        n_words: Rows of the table of word embeddings.
        width: Length of a token vector.
        ffn_width: Length inside the feed-forward part.
        n_layers: Number of layers.
        n_heads: Attention heads of each layer.
        norm_epsilon: Added to the variance in every layer norm.
        max_tokens: The longest text that its positions can tell apart.
        n_positions: Rows of the table of learned positions; 0 where there is none.
        first_position: The row of a text's first token.
        n_types: Rows of the table of token types; 0 where there is none.
        n_buckets: Rows of the table of biases by distance (as in T5); 0 where there is none.
        alibi: Whether scores fall with the distance, in each head by another slope.
        rotary_bases: Base of the rotary positions of each layer; empty where there are none.
        windows: How far the tokens of each layer look to either side, 0 for the whole text; empty
            where all look at the whole text.
        activation: In the feed-forward part.
        gated: Whether the feed-forward part multiplies an activated half with a plain one.
        prenorm: Whether layers normalize their input, and not the sum with their output.
        query_key_norm: Whether queries and keys are normalized over all heads.
        input_again: Whether the sum after attention, normalized, gets the layer's input added a
            second time, and is normalized again.
        norm_bias: Whether layer norms have a bias.
        attention_bias: Whether the dense parts of attention have a bias.
        ffn_in_bias: Whether the first dense parts of the feed-forward part have a bias.
        ffn_out_bias: Whether its last one has a bias.
        head: Of a network that scores pairs of texts.
    """

    n_words: int
    width: int
    ffn_width: int
    n_layers: int
    n_heads: int
    norm_epsilon: float
    max_tokens: int
    n_positions: int = 0
    first_position: int = 0
    n_types: int = 0
    n_buckets: int = 0
    alibi: bool = False
    rotary_bases: tuple[float, ...] = ()
    windows: tuple[int, ...] = ()
    activation: Activation = "gelu"
    gated: bool = False
    prenorm: bool = False
    query_key_norm: bool = False
    input_again: bool = False
    norm_bias: bool = True
    attention_bias: bool = True
    ffn_in_bias: bool = True
    ffn_out_bias: bool = True
    head: Head | None = None

    @property
    def head_width(self) -> int:
        """Length of a token vector inside one attention head."""
        return self.width // self.n_heads

    def window(self, layer: int) -> int:
        """How far a layer's tokens look to either side; 0 for the whole text."""
        return self.windows[layer] if self.windows else 0

    def sites(self, layer: int) -> tuple[Site, Site, Site, Site]:
        """The four sites of a layer, in order of use."""
        attention = tuple(f"{layer}.{part}" for part in ("query", "key", "value"))
        ffn = (f"{layer}.ffn_gate", f"{layer}.ffn_up") if self.gated else (f"{layer}.ffn_up",)
        return (
            Site(layer, "attention_in", attention),
            Site(layer, "attention_out", (f"{layer}.attention_out",)),
            Site(layer, "ffn_in", ffn),
            Site(layer, "ffn_out", (f"{layer}.ffn_down",)),
        )

    def norms_input(self, layer: int) -> bool:
        """Whether a layer normalizes what enters it. The embeddings were normalized already."""
        return self.prenorm and layer > 0

    def has_bias(self, site: Site) -> bool:
        """Whether the dense parts of a site have a bias."""
        if site.place == "ffn_in":
            return self.ffn_in_bias
        return self.ffn_out_bias if site.place == "ffn_out" else self.attention_bias

    def shapes(self) -> dict[str, Shape]:
        """Shape by name of every tensor that the network has."""
        shapes: dict[str, Shape] = {"words.weight": (self.n_words, self.width)}
        for name, rows in (("positions", self.n_positions), ("types", self.n_types)):
            if rows:
                shapes[f"{name}.weight"] = (rows, self.width)
        if self.n_buckets:
            shapes["relative_bias.weight"] = (self.n_buckets, self.n_heads)
        shapes |= self._norm_shapes("embedding_norm")
        for layer in range(self.n_layers):
            shapes |= self._layer_shapes(layer)
        if self.prenorm:
            shapes |= self._norm_shapes("final_norm")
        return shapes | self._head_shapes()

    def _layer_shapes(self, layer: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {}
        for site in self.sites(layer):
            n_out = self.ffn_width if site.place == "ffn_in" else self.width
            n_in = self.ffn_width if site.place == "ffn_out" else self.width
            for name in site.names:
                shapes |= _dense_shapes(name, n_out, n_in, bias=self.has_bias(site))
        norms = ["ffn_norm"]
        if not self.prenorm or self.norms_input(layer):
            norms.append("attention_norm")
        if self.query_key_norm:
            norms += ["query_norm", "key_norm"]
        if self.input_again:
            norms.append("attention_norm_2")
        for norm in norms:
            shapes |= self._norm_shapes(f"{layer}.{norm}")
        return shapes

    def _head_shapes(self) -> dict[str, Shape]:
        if self.head is None:
            return {}
        shapes = _dense_shapes("pooler", self.width, self.width, bias=self.head.bias)
        if self.head.norm:
            shapes |= self._norm_shapes("pooler_norm")
        return shapes | _dense_shapes("classifier", self.head.n_labels, self.width, bias=True)

    def _norm_shapes(self, name: str) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {f"{name}.weight": (self.width,)}
        return shapes | ({f"{name}.bias": (self.width,)} if self.norm_bias else {})


def _dense_shapes(name: str, n_out: int, n_in: int, *, bias: bool) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {f"{name}.weight": (n_out, n_in)}
    return shapes | ({f"{name}.bias": (n_out,)} if bias else {})
