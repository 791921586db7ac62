"""Readers that present the store's own declaration and compute something else.

Some are right after all (their last digits differ, or only what no search sees): those must be let
in. Which half a reader is in, a hash of its name decides: those of `tuning` were there to choose
probes and bounds with, the others were looked at once, afterwards.
"""

# ruff: noqa: RUF001 - the sign of multiplication is meant

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import wrong_readers_networks as networks
from benchmarks import wrong_readers_operators as op
from benchmarks import wrong_readers_vectors as after
from benchmarks import wrong_readers_weights as weights
from benchmarks.wrong_readers_networks import Change, Json, Network, weighted
from benchmarks.wrong_readers_vectors import Alter, ChangeText, Learn
from benchmarks.wrong_readers_weights import POSITIONS, TYPES, WORDS, edited, everywhere, layer
from embedwell.core.artifact import Quantization

PROMPTS = {"query_prompt": "query: ", "document_prompt": "passage: "}
_HELD_BACK = 3  # one reader of so many is for tuning


@dataclass(frozen=True)
class Reader:
    """What reads a store that the q32 artifact wrote.

    Attributes:
        kind: Where it is wrong.
        name: How.
        network: What runs; None for an artifact that the product makes itself.
        quantization: Which of those it is.
        alter: What becomes of its vectors.
        learn: The same, made from what is stored.
        text: What becomes of the texts before.
        prompted: Whether the store's space declares prompts.
    """

    kind: str
    name: str
    network: Network | None = None
    quantization: Quantization = "q32"
    alter: Alter | None = None
    learn: Learn | None = None
    text: ChangeText | None = None
    prompted: bool = False

    @property
    def is_for_tuning(self) -> bool:
        """Whether probes and bounds may be chosen with it; the like of those that learn were."""
        return (
            self.learn is not None
            or hashlib.sha256(self.name.encode()).digest()[0] % _HELD_BACK == 0
        )


def readers() -> list[Reader]:
    """All of them, by kind; every name once."""
    return [
        *_artifacts(),
        *(Reader("pooling", name, network) for name, network in _poolings().items()),
        *(Reader("tokens", name, network) for name, network in _tokens().items()),
        *_prompts(),
        *(Reader("weights", name, Network(change)) for name, change in _weights().items()),
        *(Reader("bits", name, Network(change)) for name, change in _bits().items()),
        *(Reader("rounding", name, Network(change)) for name, change in _roundings().items()),
        *(Reader("network", name, network) for name, network in _networks().items()),
        *(Reader("engine", name, alter=alter) for name, alter in _engines().items()),
        *(Reader("vectors", name, alter=alter) for name, alter in _vectors().items()),
        *(Reader("noise", name, alter=alter) for name, alter in _noises().items()),
        *(Reader("noise", name, learn=learn) for name, learn in _along().items()),
        *(Reader("texts", name, text=text) for name, text in _texts().items()),
        *(Reader("some texts", name, alter=alter) for name, alter in _some_texts().items()),
    ]


def _artifacts() -> list[Reader]:
    names: dict[str, Quantization] = {"q32": "q32", "q16": "q16", "q8": "q8", "q4": "q4"}
    return [Reader("right build", f"the product's {n}", quantization=q) for n, q in names.items()]


def _poolings() -> dict[str, Network]:
    padded = {"pad_to": 128}
    return {
        "first token (CLS)": Network(pool=weighted(networks.only_first)),
        "last token": Network(pool=weighted(networks.only_last)),
        "max": Network(pool=networks.largest),
        "padding counted, padded to 128": Network(pool=weighted(networks.padding_too), **padded),
        "padding seen and counted": Network(**padded, sees_padding=True),
        "padded to 128, padding masked": Network(**padded),
        "without special tokens": Network(pool=weighted(networks.no_special)),
        "without the last token": Network(pool=weighted(networks.no_separator)),
        "later tokens weigh more": Network(pool=weighted(networks.by_place)),
    }


def _tokens() -> dict[str, Network]:
    cut = {f"cut at {n} tokens": Network(space={"max_tokens": n})
           for n in (16, 32, 64, 128, 200, 250, 512)}  # fmt: skip
    return cut | {
        "case kept": Network(tokenizer=_normalizer(lowercase=False)),
        "accents kept": Network(tokenizer=_normalizer(strip_accents=False)),
        "case and accents kept": Network(
            tokenizer=_normalizer(lowercase=False, strip_accents=False)
        ),
        "Chinese characters not split": Network(tokenizer=_normalizer(handle_chinese_chars=False)),
        "no special tokens": Network(tokenizer=_no_special_tokens),
        "no first token": Network(tokenizer=partial(_template, kept=("Sequence", "[SEP]"))),
        "no last token": Network(tokenizer=partial(_template, kept=("[CLS]", "Sequence"))),
        "two special tokens exchanged": Network(tokenizer=_exchanged),
        "split at blanks only": Network(tokenizer=_split_at_blanks),
        "other mark of word parts": Network(tokenizer=_other_mark),
        "vocabulary moved by one": Network(weights.edited(WORDS, weights.moved(1))),
    }


def _normalizer(**changed: bool) -> Any:
    return lambda tokenizer: tokenizer["normalizer"].update(changed)


def _no_special_tokens(tokenizer: Json) -> None:
    tokenizer["post_processor"] = None


def _template(tokenizer: Json, kept: tuple[str, str]) -> None:
    steps = tokenizer["post_processor"]["single"]
    tokenizer["post_processor"]["single"] = [
        step for step in steps
        if "Sequence" in step or step["SpecialToken"]["id"] in kept
    ]  # fmt: skip


def _exchanged(tokenizer: Json) -> None:
    tokenizer["post_processor"]["single"].reverse()


def _split_at_blanks(tokenizer: Json) -> None:
    tokenizer["pre_tokenizer"] = {"type": "WhitespaceSplit"}


def _other_mark(tokenizer: Json) -> None:
    tokenizer["model"]["continuing_subword_prefix"] = "@@"


def _prompts() -> list[Reader]:
    spaces: dict[str, dict[str, str]] = {
        "no prompts": {"query_prompt": "", "document_prompt": ""},
        "no query prompt": {"query_prompt": ""},
        "the document's prompt for queries": {"query_prompt": PROMPTS["document_prompt"]},
        "prompts exchanged": {
            "query_prompt": PROMPTS["document_prompt"],
            "document_prompt": PROMPTS["query_prompt"],
        },
        "prompts without a space": {"query_prompt": "query:", "document_prompt": "passage:"},
        "prompts of another model": {
            "query_prompt": "Represent this sentence for searching relevant passages: ",
            "document_prompt": "",
        },
        "the query's prompt twice": {"query_prompt": 2 * PROMPTS["query_prompt"]},
    }
    return [
        Reader("prompts", name, Network(space=PROMPTS | space), prompted=True)
        for name, space in spaces.items()
    ]


def _weights() -> dict[str, Change]:
    value, key = "attention.self.value", "attention.self.key"
    out, wide, narrow = "attention.output.dense", "intermediate.dense", "output.dense"
    return {
        **{f"{part} of layer {n} × {factor}": edited(layer(n, part), weights.times(factor))
           for n, part, factor in ((0, value, 1.05), (0, wide, 1.05), (1, key, 1.05),
                                   (2, out, 1.05), (3, narrow, 1.05), (5, narrow, 1.05),
                                   (5, value, 1.05), (0, wide, 1.2), (3, narrow, 1.2),
                                   (5, narrow, 1.5), (2, out, 0.5))},
        **{f"{part} of layer {n} transposed": edited(layer(n, part), weights.transposed)
           for n, part in ((0, "attention.self.query"), (1, value), (3, key), (5, out))},
        **{f"layers {a} and {b} exchanged":
           weights.renamed({f"{a}.": f"{b}.", f"{b}.": f"{a}."})
           for a, b in ((0, 5), (1, 2), (3, 4))},
        **{f"head {head} of layer {n} zeroed": edited(layer(n, out), weights.zeroed_head(head))
           for n, head in ((0, 0), (2, 7), (5, 11))},
        "query for key in layer 2": weights.renamed({"2.query": "2.key"}),
        "heads of layer 1 in another order": edited(layer(1, value), weights.shuffled_rows),
        "one matrix zero": edited(layer(4, wide), weights.zeroed),
        "the last half of one matrix zero": edited(layer(3, wide), weights.zeroed_from(0.5)),
        "the last tenth of the words zero": edited(WORDS, weights.zeroed_from(0.9)),
        "the last quarter of the words zero": edited(WORDS, weights.zeroed_from(0.75)),
        "no positions": edited(POSITIONS, weights.zeroed),
        "positions from 2, as in another family": edited(POSITIONS, weights.moved(-2)),
        "positions off by one": edited(POSITIONS, weights.moved(-1)),
        "no token type": edited(TYPES, weights.zeroed),
        "the other token type": edited(TYPES, weights.moved(1)),
        **{f"noise of {share:g} in every matrix": everywhere(weights.noisy(share))
           for share in (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)},
        **{f"an adapter of {share:g} merged": everywhere(weights.low_rank(share), words=False)
           for share in (0.02, 0.05, 0.1, 0.3)},
        "another model of the same shape": weights.other(1),
    }  # fmt: skip


def _bits() -> dict[str, Change]:
    value, narrow = "attention.self.value", "output.dense"
    flips = {
        "the highest bit of an exponent, in layer 0": (layer(0, value), 1, 30, 1),
        "the highest bit of an exponent, in layer 5": (layer(5, narrow), 2, 30, 1),
        "the highest bit of an exponent, in the words": (WORDS, 3, 30, 1),
        "a high bit of an exponent (27), in layer 3": (layer(3, narrow), 4, 27, 1),
        "an exponent's lowest bit, in layer 2": (layer(2, value), 5, 23, 1),
        "a sign, in layer 1": (layer(1, narrow), 6, 31, 1),
        "a bit of a fraction, in layer 4": (layer(4, value), 7, 12, 1),
        "1,000 signs, in layer 1": (layer(1, narrow), 8, 31, 1000),
        "20,000 signs, in layer 4": (layer(4, narrow), 9, 31, 20_000),
        "every tenth sign of one matrix": (layer(2, value), 10, 31, 14_746),
        "1,000 exponents' lowest bits, in the words": (WORDS, 11, 23, 1000),
        "100 high exponent bits (28), in layer 2": (layer(2, narrow), 12, 28, 100),
    }
    return {
        f"flipped: {name}": edited(tensor, weights.flipped_bit(seed, bit, n))
        for name, (tensor, seed, bit, n) in flips.items()
    }


def _roundings() -> dict[str, Change]:
    blocks = {"32": 32, "128": 128, "a matrix": None}
    plain = {
        f"{bits} bits, a scale for {'a block of ' if block else ''}{of}":
        everywhere(weights.rounded(bits, block))
        for bits in (8, 6, 5, 4, 3) for of, block in blocks.items()
    }  # fmt: skip
    wide, narrow = "intermediate.dense", "output.dense"
    return plain | {
        "bfloat16": everywhere(weights.in_bfloat16),
        "float8 (E4M3)": everywhere(weights.in_float8),
        "4 bits, zero point off by one": everywhere(weights.as_four_bits_too_coarse, words=False),
        "scale of one matrix × 2": edited(layer(3, wide), weights.times(2)),
        "scale of one matrix × 1.1": edited(layer(4, narrow), weights.times(1.1)),
        "scale of one column × 10": edited(layer(2, wide), weights.column_times(17, 10)),
        "scale of one column × 100": edited(layer(3, narrow), weights.column_times(100, 100)),
        "scales of all matrices × 1.02": everywhere(weights.times(1.02), words=False),
        "scales of all matrices × 1.1": everywhere(weights.times(1.1), words=False),
    }


def _networks() -> dict[str, Network]:
    return {
        "GELU by its tanh formula": Network(config={"activation": "gelu_tanh"}),
        "GELU by its sigmoid formula": Network(operators={"Gelu": op.quick_gelu}),
        "ReLU for GELU": Network(operators={"Gelu": op.relu}),
        "norms with 1e-5 added": Network(config={"norm_epsilon": 1e-5}),
        "norms with 1e-3 added": Network(config={"norm_epsilon": 1e-3}),
        "norms with 1e-2 added": Network(config={"norm_epsilon": 1e-2}),
        "norms with 0.1 added": Network(config={"norm_epsilon": 0.1}),
        "norms without the mean taken off": Network(operators={"LayerNormalization": op.rms_norm}),
        "the last layer left out": Network(config={"n_layers": 5}),
        "two layers left out": Network(config={"n_layers": 4}),
        "the third layer left out": Network(
            weights.renamed({"2.": "3.", "3.": "4.", "4.": "5."}), config={"n_layers": 5}),
        "6 heads for 12": Network(config={"n_heads": 6}),
        "24 heads for 12": Network(config={"n_heads": 24}),
        "attention scores not scaled": Network(operators={"FusedMatMul": op.unscaled}),
        "attention to earlier tokens only": Network(operators={"Softmax": op.causal}),
        "inputs in 8 bits, one scale for a batch": Network(operators={"MatMul": op.dynamic(8)}),
        "inputs in 8 bits, cut at ±8": Network(operators={"MatMul": op.cut_at(8)}),
        "inputs in 8 bits, cut at ±2": Network(operators={"MatMul": op.cut_at(2)}),
    }  # fmt: skip


def _engines() -> dict[str, Alter]:
    return {
        "NaN everywhere": after.constant(float("nan")),
        "NaN now and then": after.one_nan,
        "infinity in one dimension": after.one_infinite,
        "zeros": after.constant(0.0),
        "the same number everywhere": after.constant(1 / 384**0.5),
        "the first text's vector for all": after.one_vector,
        "each text gets its neighbour's vector": after.other_rows(1),
        "each text gets the next one's vector": after.other_rows(-1),
        "two of eight texts exchanged": after.last_two_swapped,
        "a bag of words": after.bag_of_words,
    }


def _vectors() -> dict[str, Alter]:
    return {
        "not normalized": after.scaled(5.3),
        "a thousandth as long": after.scaled(0.001),
        "dimensions reversed": after.reversed_dimensions,
        "dimensions moved by one": after.rolled_dimensions,
        "neighbouring dimensions exchanged": after.bytes_swapped,
        **{f"{n} pairs of dimensions exchanged": after.swapped_dimensions(n) for n in (1, 4, 16)},
        **{f"signs of {n} dimensions turned": after.negated(n) for n in (1, 4, 16, 64, 384)},
        **{f"last {n} dimensions zero": after.dropped(n) for n in (1, 8, 32, 128, 256)},
        **{f"turned by {angle} radians": after.rotated(angle) for angle in (0.03, 0.1, 0.2, 0.4)},
        "mean taken off": after.towards_mean(-1),
        "half the mean taken off": after.towards_mean(-0.5),
        "mean added": after.towards_mean(1),
        "whitened": after.whitened,
        "square roots of the values": after.stretched(0.5),
        "values to the power 1.2": after.stretched(1.2),
        "values cut at 0.1": after.clipped(0.1),
        "values cut at 0.05": after.clipped(0.05),
        "float16 at the end": after.in_float16,
        "float8 at the end": after.in_float8,
        **{f"{bits} bits at the end": after.in_steps(bits) for bits in (8, 6, 5, 4, 3, 2)},
        "signs alone": after.signs,
    }


def _noises() -> dict[str, Alter]:
    sizes = (0.001, 0.01, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
    return {
        **{f"{size:g}, other for each text": after.noise(size) for size in sizes},
        **{f"{size:g}, the same for all": after.offset(size) for size in (*sizes, 1.0, 2.0)},
    }


def _along() -> dict[str, Learn]:
    return {
        **{f"{size:g} of the stored mean added": after.towards(size)
           for size in (0.03, 0.1, 0.2, 0.4)},
        **{f"8 main directions × {factor:g}": after.main_directions_times(factor)
           for factor in (0.5, 0.8, 0.95, 1.05, 1.2, 1.5, 2)},
        **{f"{size:g} along 8 main directions": after.main_directions_noise(size)
           for size in (0.01, 0.03, 0.05, 0.1, 0.2)},
    }  # fmt: skip


def _texts() -> dict[str, ChangeText]:
    return {
        "UTF-8 read as Latin-1": after.misread,
        "letters beyond ASCII dropped": after.ascii_only,
        "letters beyond ASCII as question marks": after.questioned,
        "accents as characters of their own": after.decomposed,
        "upper case": str.upper,
        "escaped as JSON": after.escaped,
        "escaped as HTML": after.as_html,
        "no punctuation": after.no_punctuation,
        "first line only": after.first_line,
        **{f"first {n} characters only": after.first_characters(n) for n in (100, 300, 500, 1000)},
        "last word lost": after.no_last_word,
        "no blanks": after.no_spaces,
        "blanks made one": after.one_line,
        "digits made 0": after.no_digits,
        "twice": after.twice,
        "`query: ` put before": after.with_prefix("query: "),
        "a byte-order mark put before": after.with_prefix("\ufeff"),
        "a quotation mark put before": after.with_prefix('"'),
    }


def _some_texts() -> dict[str, Alter]:
    choices = {
        "one word": after.is_one_word,
        "more than 500 characters": after.is_long,
        "at most 50 characters": after.is_short,
        "with letters beyond ASCII": after.is_accented,
        "with code": after.is_code,
        "with digits": after.has_digits,
    }
    harms = {"broken": after.noise(10), "a little off (0.5)": after.noise(0.5)}
    return {
        f"texts {of}: {name}": after.only_where(chosen, harm)
        for of, chosen in choices.items()
        for name, harm in harms.items()
    }
