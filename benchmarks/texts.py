"""The texts that are embedded: passages of published data, cut to exact token counts.

The same seed gives the same texts everywhere; their SHA-256 is kept with every result.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.datasets import cosqa, piaf, scifact
from benchmarks.paths import work

SPECIAL_TOKENS = 2  # [CLS] and [SEP], counted because engines compute them
LONGEST = 256
MIX = ("en", "fr", "code")

# Word starts of a text: (characters before it, tokens before it), closed by the text's end.
Marks = Sequence[tuple[int, int]]
MarkWords = Callable[[str], Marks]


@dataclass(frozen=True)
class Corpus:
    """Texts in a JSON file, and how many tokens they have with the special ones."""

    name: str
    file: Path
    n_texts: int
    n_tokens: int
    sha256: str


def passages(data: Path) -> dict[str, list[str]]:
    """Natural texts to cut from, by language."""
    return {
        "en": list(scifact(data).documents.values()),
        "fr": list(piaf(data).documents.values()),
        "code": list(cosqa(data).documents.values()),
    }


def speed_corpora(data: Path, tokenizer_file: Path) -> dict[str, Corpus]:
    """`short` (8 to 20 tokens), `128` (exactly) and `mixed` (4 to 256), and the `queries`."""
    mark = word_marks(tokenizer_file)
    drawn, found = random.Random(1), passages(data)
    lengths = {
        "short": [drawn.randint(8, 20) for _ in range(1200)],
        "128": [128] * 128,
        "mixed": [drawn.randint(4, LONGEST) for _ in range(128)],
        "queries": [drawn.randint(8, 20) for _ in range(220)],
        "10,000 short": [drawn.randint(8, 20) for _ in range(10_000)],
    }
    return {name: save(name, cut(found, wanted, mark, seed=name), sum(wanted))
            for name, wanted in lengths.items()}  # fmt: skip


def agreement_corpus(data: Path, tokenizer_file: Path) -> Corpus:
    """2,000 natural texts of 4 to 256 tokens in English, French and code."""
    drawn = random.Random(2)
    wanted = [drawn.randint(4, LONGEST) for _ in range(2000)]
    texts = cut(passages(data), wanted, word_marks(tokenizer_file), seed="agreement")
    return save("agreement", texts, sum(wanted))


def odd_texts() -> list[str]:
    """Texts that no calibration set of natural language holds."""
    drawn = random.Random(3)
    words = ("a", "the", "yes", "model", "été", "東京", "Zürich", "x", "snake_case", "CamelCase")
    blocks = ((0x21, 0x7F), (0xA1, 0x17F), (0x370, 0x5FF), (0x4E00, 0x4E80), (0x1F300, 0x1F5FF))
    letters = [chr(code) for block in blocks for code in range(*block)]
    return [
        *("", " ", "\n\n\t", ".", "?!…", "😀", "😀" * 40, "\u200b", "\x00", "0"),
        *words,
        *(word * 60 for word in ("ha", "na ", "? ", "the ", "= ")),
        *("".join(drawn.choices("0123456789", k=n)) for n in (4, 16, 64, 256)),
        *(" ".join(str(drawn.randint(0, 10**6)) for _ in range(n)) for n in (1, 8, 60)),
        *("".join(drawn.choices(letters, k=n)) for n in (1, 3, 10, 40, 200) for _ in range(6)),
    ]


def cut(
    found: dict[str, list[str]], wanted: Sequence[int], mark: MarkWords, seed: str
) -> list[str]:
    """One text for each wanted token count, in turn from each language, all different."""
    drawn = random.Random(seed)
    shuffled = {lang: drawn.sample(texts, len(texts)) for lang, texts in found.items()}
    sources = {lang: _marked(shuffled[lang], mark) for lang in MIX}
    texts: dict[str, None] = {}
    for n_tokens, lang in zip(wanted, cycle(MIX), strict=False):
        text = None
        while text is None or text in texts:
            passage, marks = next(sources[lang])
            text = window(passage, marks, n_tokens - SPECIAL_TOKENS, drawn)
        texts[text] = None
    return list(texts)


def window(passage: str, marks: Marks, n_tokens: int, drawn: random.Random) -> str | None:
    """A part of a passage from word to word with exactly so many tokens, if there is one."""
    char_at = {token: char for char, token in marks}
    starts = [(char, token) for char, token in marks if token + n_tokens in char_at]
    if not starts:
        return None
    char, token = drawn.choice(starts)
    return passage[char : char_at[token + n_tokens]].strip()


def word_marks(tokenizer_file: Path) -> MarkWords:
    """Where the words of a text start, by the model's own tokenizer."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def mark(text: str) -> Marks:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        words, offsets = encoding.word_ids, encoding.offsets
        starts = [i for i in range(len(words)) if i == 0 or words[i] != words[i - 1]]
        return [*((offsets[i][0], i) for i in starts), (len(text), len(words))]

    return mark


def save(name: str, texts: Sequence[str], n_tokens: int) -> Corpus:
    """Write texts where every peer can read them."""
    file = work("texts", f"{name.replace(',', '').replace(' ', '-')}.json")
    content = json.dumps(list(texts), ensure_ascii=True)
    file.write_text(content, "utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Corpus(name, file, len(texts), n_tokens, digest)


def _marked(texts: Sequence[str], mark: MarkWords) -> Iterator[tuple[str, Marks]]:
    known: dict[str, Marks] = {}
    for text in cycle(texts):
        if text not in known:
            known[text] = mark(text)
        yield text, known[text]
