"""SentencePiece's table of characters to replace, checked before a library trusts it.

The form is that of https://github.com/google/sentencepiece/blob/master/src/normalizer.cc: the
length of a double-array trie in bytes, the trie, then the replacements with a 0 after each.
"""

from __future__ import annotations

import numpy as np

_BRANCHES = 256
_LEAF = np.uint32(1 << 31)


def check_charsmap(data: bytes) -> str:
    """What is wrong with a table; empty where a walk through it cannot leave it."""
    n_bytes = int.from_bytes(data[:4], "little")
    if len(data) < 4 or n_bytes % 4 or not 4 * _BRANCHES <= n_bytes <= len(data) - 4:
        return "is cut short or damaged"
    units = np.frombuffer(data, "<u4", n_bytes // 4, 4)
    replacements = np.frombuffer(data, np.uint8, offset=4 + n_bytes)
    try:
        replacements.tobytes().decode()
    except UnicodeDecodeError:
        return "has replacements that are no text"
    is_leaf = (units & _LEAF) != 0
    values = units[is_leaf] & ~_LEAF
    # A replacement begins where a character does, not inside one.
    if (values >= len(replacements)).any() or ((replacements[values] & 0xC0) == 0x80).any():
        return "has replacements that are not there"
    inner = units[~is_leaf]
    # https://github.com/s-yata/darts-clone: the offset of a unit to its branches.
    offsets = (inner >> np.uint32(10)) << ((inner & np.uint32(1 << 9)) >> np.uint32(6))
    branches = (np.flatnonzero(~is_leaf).astype(np.uint32) ^ offsets) | np.uint32(_BRANCHES - 1)
    return "has branches that are not there" if (branches >= len(units)).any() else ""
