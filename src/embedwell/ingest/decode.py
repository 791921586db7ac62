"""Bytes into text, whatever encoding they are in."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from embedwell.core.errors import ExtractionError

_MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TEXT_CONTROLS = b"\t\n\x0b\x0c\r\x1b\x08"
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in _TEXT_CONTROLS)
MAX_CONTROL_SHARE = 0.01
"""Text has next to no control characters; compressed or random bytes have about a tenth."""

MAX_NUL_SHARE = 0.0001
"""A stray NUL happens in text; every binary format is full of them."""

MAX_ODD, MAX_ODD_SHARE = 8, 0.2
"""More characters that its languages seldom use, and the code page is another."""

_DECLARED = re.compile(rb"(?:charset|coding)\s*[=:]\s*[\"']?([\w.:-]{1,40})", re.ASCII)
_DECLARED_WITHIN = 1024
_CHARACTER_SETS = ("iso8859", "cp", "mac", "koi8", "shift_jis", "euc_", "gb", "big5", "utf-16")
_ASCII = bytes(range(128))
_LATIN_LETTER = re.compile(rb"[A-Za-z]")
_WESTERN = "àâäáãåæçéèêëíìîïñóòôöõøœúùûüÿßÀÁÂÄÅÆÇÈÉÊËÍÎÏÑÓÔÖØÙÚÛÜŒ«»’‘“”„–—…°€£§¿¡•·©®\u00a0"  # noqa: RUF001
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžäöőüűß„”–…\u00a0"  # noqa: RUF001
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяё«»–—…№\u00a0"  # noqa: RUF001
_GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ«»–…\u00a0"  # noqa: RUF001
_CODE_PAGES = {  # the likelier ones first
    "cp1252": _WESTERN,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp1253": _GREEK,
}
_UNFIT = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")
_UNFIT_RE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class _Fit:
    """How well a code page fits: small letters speak for it, odd characters against it."""

    score: int
    n_odd: int


def decode(data: bytes) -> str:
    """Decode a text file.

    A byte order mark decides; else UTF-8; else what the file declares about itself in its first
    1,024 bytes; else the code page that gives the most letters. Line ends stay as they are. A
    NUL becomes U+FFFD.

    Raises:
        ExtractionError: The bytes are not text, or not in the encoding that their mark says.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return mended(_marked(data[len(mark) :], encoding))
    if _is_binary(data):
        raise ExtractionError(
            "The file is binary, not text.", "Leave it out, or give it the suffix of its format."
        )
    try:
        return mended(data.decode("utf-8"))
    except UnicodeDecodeError:
        return mended(_legacy(data))


def mended(text: str) -> str:
    """Replace what no tokenizer and no database takes, NUL and lone surrogates, by U+FFFD."""
    return text.translate(_UNFIT) if _UNFIT_RE.search(text) else text


def _marked(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExtractionError(
            f"The file says that it is {encoding.upper()} but is not ({error.reason} at byte "
            f"{error.start:,}).",
            "Save it as UTF-8.",
        ) from error


def _is_binary(data: bytes) -> bool:
    if data.count(0) > MAX_NUL_SHARE * len(data) + (len(data) > 64):
        return True
    n_controls = len(data) - len(data.translate(None, _CONTROLS))
    return n_controls > MAX_CONTROL_SHARE * len(data)


def _legacy(data: bytes) -> str:
    """Decode what is not UTF-8 throughout."""
    beyond_ascii = data.translate(None, _ASCII)
    damaged = data.decode("utf-8", "replace")
    n_broken = damaged.count("\ufffd")
    n_whole = len(damaged) - (len(data) - len(beyond_ascii)) - n_broken
    if n_whole > n_broken:  # UTF-8 with a few bad bytes, or cut short
        return damaged
    return _declared(data) or data.decode(_guessed(data, beyond_ascii), "replace")


def _declared(data: bytes) -> str:
    """Decode by the encoding that the file names; empty where it names none that fits."""
    match = _DECLARED.search(data, 0, _DECLARED_WITHIN)
    try:
        codec = codecs.lookup(match[1].decode("ascii") if match else "")
        return data.decode(codec.name) if codec.name.startswith(_CHARACTER_SETS) else ""
    except (LookupError, UnicodeError):
        return ""


def _guessed(data: bytes, beyond_ascii: bytes) -> str:
    """The code page in which the bytes beyond ASCII are common letters of its languages.

    Measured on 540 French passages of the set PIAF in Windows-1252, Mac Roman and code page 850,
    a sixth of them short: all right; charset-normalizer 3.5.2 gave 412, took 10 to 60 times as
    long for a passage (half as long for half a megabyte) and 1 MB of disk.

    Raises:
        ExtractionError: There is none.
    """
    counts = Counter(beyond_ascii)
    is_western = len(beyond_ascii) <= 2 * len(_LATIN_LETTER.findall(data))
    fits = {
        encoding: _fit(counts, encoding, common)
        for encoding, common in _CODE_PAGES.items()
        if common in (_WESTERN, _CENTRAL) or not is_western
    }
    best = max(fits, key=lambda encoding: fits[encoding].score)  # the first one of equals
    if fits[best].n_odd > max(MAX_ODD, MAX_ODD_SHARE * len(beyond_ascii)):
        raise ExtractionError("The encoding of the file cannot be told.", "Save it as UTF-8.")
    return best


def _fit(counts: Mapping[int, int], encoding: str, common: str) -> _Fit:
    characters = {bytes([byte]).decode(encoding, "replace"): n for byte, n in counts.items()}
    n_odd = sum(n for character, n in characters.items() if character not in common)
    n_small = sum(
        n for character, n in characters.items() if character in common and character.islower()
    )
    return _Fit(sum(counts.values()) + n_small - 4 * n_odd, n_odd)
