"""Words of texts, names and queries, as the lexical index sees them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise

MAX_QUERY_WORDS = 64
"""A pasted page searches by its first words: each more costs time and adds little."""
FREE_MATCHES = 2_000
"""So many matches are scored in a few milliseconds, however few chunks there are."""
COMMON_SHARE = 0.2
"""Beyond those, matches to score as a share of all chunks; see docs/search.md."""

_WORD = re.compile(r"[^\W_]+")


def name_pieces(text: str) -> list[str]:
    """The parts of the camelCase names in a text, in order, repeated as often as they occur.

    `parseConfig(HTTPServer)` gives `parse Config HTTP Server`. Names with `_`, `-` or `.` need
    no help: the tokenizer splits there.
    """
    return [
        piece
        for word in _WORD.findall(text)
        if not (word[1:].islower() or word.isupper() or word.islower())
        for piece in _humps(word)
    ]


def _humps(word: str) -> list[str]:
    """A name's parts where it has more than one."""
    cuts = [0, *(at for at in range(1, len(word)) if _begins_part(word, at)), len(word)]
    return [word[a:b] for a, b in pairwise(cuts)] if len(cuts) > 2 else []


def _begins_part(word: str, at: int) -> bool:
    """Whether a part begins here: `parse|Config`, `HTTP|Server`, `HTTP2|Request`, but `IDs`."""
    if not word[at].isupper():
        return False
    if not word[at - 1].isupper():
        return True
    rest = word[at + 1 :]
    return rest[:1].islower() and rest != "s"


def query_words(query: str) -> list[str]:
    """The distinct words to look for, at most `MAX_QUERY_WORDS`, in the query's order.

    Letters and digits only, so that no query can be syntax for the index; names are looked for
    whole and in their parts. Empty where a query has no word (punctuation, emoji).
    """
    text = unicodedata.normalize("NFC", query)
    found: dict[str, None] = {}
    for word in _WORD.findall(text):
        for form in (word, *name_pieces(word)):
            found.setdefault(form.lower())
            if len(found) == MAX_QUERY_WORDS:
                return list(found)
    return list(found)


def telling_words(counts: Mapping[str, int], n_chunks: int) -> list[str]:
    """The words of a query to score by, rarest first, without a list of stop words.

    Common words cost the most time and tell the least. Words are taken from the rarest on while
    the chunks that have them, counted once for each word, stay within a budget; one is always
    taken.

    Args:
        counts: How many chunks have each word of the query; those in none left out.
        n_chunks: How many chunks there are.
    """
    budget = FREE_MATCHES + COMMON_SHARE * n_chunks
    taken: list[str] = []
    for word in sorted(counts, key=counts.__getitem__):
        budget -= counts[word]
        if taken and budget < 0:
            break
        taken.append(word)
    return taken
