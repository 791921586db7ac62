"""How much alike the documents are that were stored one after another: pure measurements."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, normalized

FEWEST = 30
"""Documents, below which shares of them say nothing."""
NEAR = 0.02
"""Passages are alike up to here, on the scale of drift: 0 is the same, 1 as far as strangers. Lines
of logs, tables of numbers and generated code are farther from each other."""

_N_WINDOWS = 10
_GARBLED = 0.05  # of a text's characters; texts for people or machines hold next to none
_BAD_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs"})
_SHOWN, _EXAMPLES = 60, 3
_FLAT = 1e-3  # part of the mean variance
_WORD, _DIGIT = re.compile(r"\w+"), re.compile(r"\d")


@dataclass(frozen=True)
class Sample:
    """Documents in the order in which they were stored, each by its middle passage.

    Attributes:
        keys: Their keys.
        texts: The passages.
        vectors: Theirs, usable: float32, shape (n, d).
    """

    keys: Sequence[str]
    texts: Sequence[str]
    vectors: FloatArray

    def part(self, begin: int, end: int) -> Sample:
        """Some of them."""
        return Sample(self.keys[begin:end], self.texts[begin:end], self.vectors[begin:end])


@dataclass(frozen=True)
class Window:
    """Documents that were stored one after another.

    Attributes:
        n: How many.
        alike: The largest share of them that lies around one of them, see `NEAR`, or that has the
            same words but for numbers.
        same: Share of them whose passage another one has too.
        mean: Mean cosine between two of them.
        spread: Its standard deviation.
        garbled: Share of them that holds control and replacement characters instead of text.
        text: What those that are alike say, shortened.
        examples: Keys of some that are alike.
        garbled_examples: Keys of some that are garbled.
    """

    n: int
    alike: float = 0.0
    same: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    garbled: float = 0.0
    text: str = ""
    examples: tuple[str, ...] = ()
    garbled_examples: tuple[str, ...] = ()


def look(sample: Sample, scale: float) -> Window:
    """Measure some documents.

    Args:
        sample: Which.
        scale: 1 - mean cosine between different natural texts, as the probes have it: what is near
            depends on the model.
    """
    n = len(sample.keys)
    if n < 2:
        return Window(n)
    unit = normalized(sample.vectors)
    cosines = unit @ unit.T
    near = cosines >= 1 - NEAR * scale
    worded = _same_words(sample.texts)
    crowd = max(near[near.sum(axis=1).argmax()], worded, key=np.count_nonzero)
    pairs = cosines[np.triu_indices(n, 1)]
    bad = np.array([is_garbled(text) for text in sample.texts])
    return Window(
        n=n,
        alike=float(crowd.mean()),
        same=sum(times for times in Counter(sample.texts).values() if times > 1) / n,
        mean=float(pairs.mean()),
        spread=float(pairs.std()),
        garbled=float(bad.mean()),
        text=_shown(sample.texts[int(crowd.argmax())]),
        examples=_some(sample.keys, crowd),
        garbled_examples=_some(sample.keys, bad),
    )


def windows(sample: Sample, scale: float) -> list[Window]:
    """The same part by part: up to ten parts of 30 documents at least, the earliest first."""
    n_windows = max(min(_N_WINDOWS, len(sample.keys) // FEWEST), 1)
    ends = np.linspace(0, len(sample.keys), n_windows + 1).astype(np.int64).tolist()
    parts = [sample.part(*ends[at : at + 2]) for at in range(n_windows)]
    return [look(part, scale) for part in parts]


def last_quarter(sample: Sample, scale: float) -> Window:
    """The last quarter of them."""
    n = len(sample.keys)
    return look(sample.part(n - n // 4, n), scale)


def is_garbled(text: str) -> bool:
    """Whether bytes were taken for text: control, private and replacement characters abound."""
    bad = sum(
        letter == "\ufffd"
        or (letter not in "\t\n\r\f\v" and unicodedata.category(letter) in _BAD_CATEGORIES)
        for letter in text
    )
    return bad > _GARBLED * max(len(text), 1)


def flat(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Which dimensions hardly vary: bool, shape (d,)."""
    varies = vectors.var(axis=0)
    found: npt.NDArray[np.bool_] = varies <= _FLAT * varies.mean()
    return found


def _same_words(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which texts have the words that most have: bool, shape (n,).

    Words with a digit in them are left out: numbers of pages, times, ids. Texts that are mostly
    such, as tables and logs are, have no words in common for that.
    """
    worded = []
    for text in texts:
        every = _WORD.findall(text)
        words = [word for word in every if not _DIGIT.search(word)]
        worded.append(" ".join(words) if words and 2 * len(words) >= len(every) else "")
    (most, _), *_ = Counter(one for one in worded if one).most_common(1) or [("", 0)]
    return np.array([bool(one) and one == most for one in worded])


def _shown(text: str) -> str:
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def _some(keys: Sequence[str], chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(keys[at] for at in np.flatnonzero(chosen)[:_EXAMPLES])
