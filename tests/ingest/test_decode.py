"""Bytes become text in whatever encoding, or are refused."""

import codecs
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.errors import ExtractionError
from embedwell.ingest.decode import decode, mended

FRENCH = "À l'été, la forêt où naît le ruisseau « gîte » ; ça coûte cher, mon œil… Noël à Besançon."


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_byte_order_marks_decide_and_leave(mark, encoding):
    assert decode(mark + (FRENCH + " 🙂").encode(encoding)) == FRENCH + " 🙂"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_utf8_stays_as_it_is(text):
    assert decode(b"- " + text.encode()) == "- " + text


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
def test_french_in_legacy_code_pages(encoding):
    assert decode(FRENCH.encode(encoding)) == FRENCH


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L'été à la forêt, ça se fête où l'on naît.", "latin-1"),
        ("L'été à la forêt, ça se fête où l'on naît.", "cp850"),
        ("ÉTÉ À L'ÎLE", "cp1252"),
        ("Zażółć gęślą jaźń. Właściwie nie wiem, gdzie leżą książki.", "cp1250"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", "cp1251"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", "koi8-r"),
        ("Το γρήγορο καφέ αλεπού", "cp1253"),  # noqa: RUF001 - Greek is meant
        ("Die Größe der Häuser", "latin-1"),
        ("at most ½ of it", "latin-1"),
        ("été", "latin-1"),
    ],
)
def test_other_legacy_code_pages(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "head", ["# -*- coding: {} -*-", '<?xml encoding="{}"?>', "<meta charset={}>", "charset = '{}'"]
)
def test_declared_encodings_are_believed_where_utf8_fails(head):
    text = head.format("shift_jis") + "\n日本語の文章"
    assert decode(text.encode("shift_jis")) == text
    assert decode(text.encode()) == text


@pytest.mark.parametrize("name", ["rot13", "zlib", "unicode_escape", "no-such", "utf-8", "cp1251x"])
def test_declared_encodings_that_are_none_are_not_followed(name):
    text = f"coding: {name}\nL'été à la forêt"
    assert decode(text.encode("cp1252")) == text


def test_unknown_encodings_are_refused():
    with pytest.raises(ExtractionError, match=r"encoding of the file cannot be told\. Save it as"):
        decode("日本語の文章を検索するための索引を作ります。".encode("shift_jis"))


def test_utf8_with_a_few_bad_bytes_keeps_the_rest():
    data = FRENCH.encode()
    assert decode(data[:40] + b"\xff" + data[40:]).count("\ufffd") == 1
    assert decode(data + "é".encode()[:1]) == FRENCH + "\ufffd"


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(100),
        b"\x00\x01" * 200,
        bytes(range(256)) * 10,
        random.Random(0).randbytes(4_000),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    ],
)
def test_binary_is_refused(data):
    with pytest.raises(ExtractionError, match="binary"):
        decode(data)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_marks_that_lie_are_named(mark):
    with pytest.raises(ExtractionError, match=r"says that it is UTF-.* at byte"):
        decode(mark + b"a\xff\xd8")


def test_stray_nul_becomes_a_replacement_character():
    assert decode(b"a" * 20_000 + b"\0b") == "a" * 20_000 + "\ufffdb"


def test_lone_surrogates_become_replacement_characters():
    assert mended("a\ud800b\udfffc\0") == "a\ufffdb\ufffdc\ufffd"
    assert decode(codecs.BOM_UTF16_LE + "été".encode("utf-16-le")) == "été"


@pytest.mark.parametrize("data", [b"", b" ", b"\r\n", b"\x1b[1mbold\x1b[0m"])
def test_little_or_nothing_is_text(data):
    assert decode(data) == data.decode()
