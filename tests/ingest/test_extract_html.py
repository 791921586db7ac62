"""HTML: what a reader sees, with headings, and the lines of the source."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.chunking.chunker import chunk
from embedwell.ingest.extract import extract
from embedwell.ingest.extractors.markup import tokens, unescaped
from embedwell.ingest.formats import format_of
from embedwell.testing import word_starts

HTML = format_of("page.html")
PAGE = """\
<!DOCTYPE html><html lang="fr"><head><title>Le
 caf&eacute;</title><style>p { color: red }</style><script>var a = "<p>";</script></head>
<body><nav>Accueil <nav>x</nav> <a href="/">y</a></nav>
<p>Avant-propos &amp; <b>cré</b>ma&shy;tion
sur deux lignes.</p>
<h1>Guide <em>d&#39;installation</em></h1>
<h2>Linux</h2>
<p>Tapez&nbsp;:</p>
<pre>

apt update

  apt install x
</pre>
<ul><li>un</li><li><p>deux</p><p>trois</p></li></ul><p>fin</p>
<h2>Mac<p>sans fermeture</p>
<table><tr><td>a</td><td>b</td></tr><tr><th>c<th>d</table>
<h3></h3>
<a href='x>y' title = "a>b">lien</a> et<br>ligne</body><footer>©</footer></html>
"""


def read(page):
    return extract(page.encode(), HTML)


def found(page):
    page = read(page)
    return [(part.title, page.text[part.start : part.end].strip("\n")) for part in page.segments]


def test_headings_give_paths_and_noise_is_left_out():
    assert found(PAGE) == [
        ("Le café", "Avant-propos & crémation sur deux lignes."),
        ("Guide d'installation > Linux", "Guide d'installation\n\nLinux\n\nTapez :"),
        ("Guide d'installation > Linux", "apt update\n\n  apt install x"),
        ("Guide d'installation > Linux", "un\ndeux\ntrois"),
        ("Guide d'installation > Linux", "fin"),
        ("Guide d'installation > Mac", "Mac\n\nsans fermeture"),
        ("Guide d'installation > Mac", "a | b\nc | d"),
        ("Guide d'installation > Mac", "lien et\nligne"),
    ]


@pytest.mark.parametrize(
    "word", ["Avant-propos", "sur", "Guide", "Linux", "apt update", "apt install", "trois", "lien"]
)
def test_lines_are_those_of_the_source(word):
    page = read(PAGE)
    line = page.line_of(page.text.index(word))
    assert word in PAGE.split("\n")[line - 1]


def test_windows_line_ends_count_once():
    page = read("<p>un</p>\r\n<p>deux\r\ntrois</p>\r<p>quatre")
    assert [page.line_of(page.text.index(w)) for w in ("un", "deux", "trois", "quatre")] == [
        1,
        2,
        3,
        4,
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        (" \n ", ""),
        ("no markup", "no markup"),
        ("a < b and c > d", "a < b and c > d"),
        ("a <", "a <"),
        ("x<p", "x<p"),
        ("a<!-- <p> --->b<!-- never closed", "ab"),
        ("a<!doctype x>b<?php echo 1 ?>c<![CDATA[d]]>", "abc"),
        ("a<! never closed", "a<! never closed"),
        ("<script>if (a < b) {}</SCRIPT >after", "after"),
        ("a<script>b", "ab"),
        ("<nav>never closed <p>text</p>", "never closed\n\ntext"),
        ("<svg><title>t</title></svg><p>x", "x"),
        ("<a title='never closed>x</a> y", "x y"),
        ("<title>only a title", ""),
        ("</p></ul></pre></nav>x", "x"),
        ("&#xD800;&#0;&#99999999999999999;", "\ufffd" * 3),
        ("&lt;p&gt;&nbsp;&unknown;", "<p> &unknown;"),
    ],
)  # fmt: skip
def test_odd_markup(source, text):
    assert read(source).text == text


@pytest.mark.parametrize(
    "source",
    ["<a " * 30_000, "<!--" * 30_000, "</" * 30_000, "<" * 60_000, "<div>" * 30_000 + "x",
     "<a b='" * 30_000, "&#" * 60_000, "<ul><li>" * 20_000 + "x", "<h1>x" * 5_000,
     "<nav><footer>x" * 5_000, "<pre>\n" * 20_000 + "x", "<svg>" * 30_000, "<![" * 30_000],
    ids=lambda source: source[:8],
)  # fmt: skip
def test_hostile_markup_is_read_to_its_end(source):
    page = read(source)
    assert len(page.text) <= 2 * len(source)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<p>", "</p>", "<h1>", "</h1>", "<h3>", "<pre>", "</pre>", "<ul>",
    "</ul>", "<li>", "<td>", "<nav>", "</nav>", "<script>", "</script>", "<title>", "</title>",
    "<!--", "-->", "<", ">", "&amp;", "\n", " ", "é", "mot", "<br>", "='"]), max_size=40)
    .map("".join))  # fmt: skip
def test_segments_cover_the_text_of_any_markup(source):
    page = read(source)
    assert "".join(page.text[part.start : part.end] for part in page.segments) == page.text
    lines = [page.line_of(at) for at in range(len(page.text))]
    assert lines == sorted(lines)
    assert all(1 <= line <= source.count("\n") + 1 for line in lines)
    chunks = chunk(page.text, page.segments, word_starts, 5)
    assert len("".join("".join(page.text[c.start : c.end] for c in chunks).split())) == len(
        "".join(page.text.split())
    )


@settings(deadline=None)
@given(st.text(st.sampled_from("<>/!-='\" aé&;\n"), max_size=60))
def test_tokens_are_in_order_and_inside_the_source(source):
    at = 0
    for token in tokens(source):
        assert token.at >= at
        at = token.at + (len(token.value) if token.kind == "data" else 1)
    assert at <= len(source)


def test_references_without_ampersand_stay():
    assert unescaped("100 #37;") == "100 #37;"


def test_legacy_encodings_are_declared_in_the_page():
    page = extract("<meta charset=windows-1252><p>cœur d'été".encode("cp1252"), HTML)
    assert page.text == "cœur d'été"
