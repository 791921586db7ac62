"""Texts to calibrate with: a small set of our own, and odd ones made from a fixed seed."""

from __future__ import annotations

import random
from importlib import resources

_SEED = 20240229
_N_JOINED = 120
_N_ODD = 20  # of each kind
_ALPHABETS = ((0x21, 0x7E), (0xA1, 0x24F), (0x370, 0x5FF), (0x4E00, 0x9FFF), (0x1F300, 0x1F6FF))


def calibration_texts() -> list[str]:
    """About 400 texts of 0 to 256 tokens: English, French, code, and odd ones.

    Always the same ones, in the same order.
    """
    rng = random.Random(_SEED)  # noqa: S311 - nothing secret is drawn
    english, french = _read("english.txt").splitlines(), _read("french.txt").splitlines()
    code = [part.strip("\n") for part in _read("code.txt").split("%%")]
    longer = [_joined(rng, rng.choice((english, french)), " ") for _ in range(_N_JOINED)]
    longer += [_joined(rng, code, "\n\n") for _ in range(_N_JOINED // 3)]
    words = sorted({word for line in (*english, *french) for word in line.split()})
    return [*english, *french, *code, *longer, *_odd_texts(rng, words)]


def _read(name: str) -> str:
    texts = resources.files("embedwell.models").joinpath("recipes", "texts", name)
    return texts.read_text("utf-8").rstrip("\n")


def _joined(rng: random.Random, parts: list[str], between: str) -> str:
    return between.join(rng.sample(parts, rng.randint(2, 12)))


def _odd_texts(rng: random.Random, words: list[str]) -> list[str]:
    """Nothing, one to three words, repetitions, digits, any characters at all."""
    odd = ["", " ", ".", "?!", "-" * 60, "= " * 80, "[MASK]", "[UNK]", "[SEP]", "[CLS]"]
    for _ in range(_N_ODD):
        odd += [rng.choice(words), " ".join(rng.sample(words, 2)), " ".join(rng.sample(words, 3))]
        odd.append(" ".join([rng.choice(words)] * rng.randint(2, 120)))
        odd.append("".join(rng.choices("0123456789 .,-:", k=rng.randint(1, 60))))
        ranges = rng.choices(_ALPHABETS, k=rng.randint(1, 40))
        odd.append("".join(chr(rng.randint(*limits)) for limits in ranges))
    return odd
