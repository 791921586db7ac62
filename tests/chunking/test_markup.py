"""Markdown and reStructuredText: headings give paths, blocks stay whole."""

import textwrap

import pytest

from embedwell.chunking import markdown, rst


def found(module, text):
    text = textwrap.dedent(text)
    return [(part.title, text[part.start : part.end].strip()) for part in module.segments(text, "")]


def test_markdown_headings_nest_and_stick_to_what_follows():
    assert found(
        markdown,
        """\
        Avant-propos.

        # Guide *complet* d'`installation` {#guide}

        ## Linux ##

        Tapez ceci.

        Puis cela.
        ### [Debian](https://example.org/x) <br>
        #hashtag
        ## Fenêtres
        """,
    ) == [
        ("", "Avant-propos."),
        (
            "Guide complet d'installation > Linux",
            "# Guide *complet* d'`installation` {#guide}\n\n## Linux ##\n\nTapez ceci.",
        ),
        ("Guide complet d'installation > Linux", "Puis cela."),
        (
            "Guide complet d'installation > Linux > Debian",
            "### [Debian](https://example.org/x) <br>\n#hashtag",
        ),
        ("Guide complet d'installation > Fenêtres", "## Fenêtres"),
    ]


def test_markdown_underlined_headings():
    assert found(markdown, "Titre\nlong\n====\n\ntexte\n\nPartie\n---\nfin\n\n---\n\nencore") == [
        ("Titre long", "Titre\nlong\n====\n\ntexte"),
        ("Titre long > Partie", "Partie\n---\nfin"),
        ("Titre long > Partie", "---"),
        ("Titre long > Partie", "encore"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        "```python\n# not a heading\n\nx = 1\n```",
        "~~~~\n```\n# no\n~~~\n\n~~~~",
        "````\n```\n# no\n\n````",
        "> ```\n> # no\n> ```",
        "<!-- remark\n\n# no\n-->",
        "- un\n\n  suite\n- deux\n\n- trois\n    ```\n# dedans\n    ```",
        "1. un\n\n2. deux\n   - a\n\n   - b",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "    # indented code\n\n    more of it",
        "para\nwith `# no` inside\n    # continued",
    ],
    ids=[
        "fence",
        "tildes",
        "longer",
        "quoted",
        "comment",
        "list",
        "numbers",
        "table",
        "code",
        "text",
    ],
)
def test_markdown_blocks_stay_whole(block):
    assert found(markdown, f"# H\nintro\n\n{block}\n\nfin\n")[1:] == [
        ("H", block.strip()),
        ("H", "fin"),
    ]


@pytest.mark.parametrize("opening", ["```\n# no\n\ntext", "<!-- \n# no\n\ntext", "~~~"])
def test_markdown_blocks_that_never_end_take_the_rest(opening):
    assert found(markdown, f"# H\nx\n\n{opening}\n") == [("H", "# H\nx"), ("H", opening.strip())]


def test_markdown_fence_right_below_a_paragraph():
    assert found(markdown, "avant\n```\n# no\n```\naprès\n# H") == [
        ("", "avant"),
        ("", "```\n# no\n```"),
        ("", "après"),
        ("H", "# H"),
    ]


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ('---\ntitle: "Le café"\ntags: [a]\n---', "Le café"),
        ("+++\ntitle = 'Le café'\n+++", "Le café"),
        ("---\na: 1\n...", ""),
    ],
)
def test_markdown_front_matter_is_a_block_and_may_name_the_page(head, title):
    assert found(markdown, f"{head}\n# H\ntexte") == [(title, head), ("H", "# H\ntexte")]
    assert found(markdown, f"{head}\ntexte") == [(title, head), (title, "texte")]


@pytest.mark.parametrize("text", ["---\n\n# H\n\n---\n", "---\ntitle: x\n\n# H\ntexte\n"])
def test_markdown_rules_are_not_front_matter(text):
    assert found(markdown, text)[-1][0] == "H"


def test_markdown_with_windows_line_ends():
    assert found(markdown, "# H\r\n\r\ntexte\r\n\r\n## I\r\nfin\r\n") == [
        ("H", "# H\r\n\r\ntexte"),
        ("H > I", "## I\r\nfin"),
    ]


def test_markdown_headings_without_text_leave_the_path():
    assert found(markdown, "# A\nx\n\n## \ny\n\n### C\nz") == [
        ("A", "# A\nx"),
        ("A", "## \ny"),
        ("A > C", "### C\nz"),
    ]


def test_rst_titles_nest_by_the_order_of_their_styles():
    assert found(
        rst,
        """\
        ==========
        Manuel été
        ==========

        Intro.

        Première
        ========

        :ref:`Deuxième <cible>`
        -----------------------
        Texte ``x``.

        Troisième
        =========
        Fin
        """,
    ) == [
        ("Manuel été", "==========\nManuel été\n==========\n\nIntro."),
        (
            "Manuel été > Première > Deuxième",
            "Première\n========\n\n:ref:`Deuxième <cible>`\n-----------------------\nTexte ``x``.",
        ),
        ("Manuel été > Troisième", "Troisième\n=========\nFin"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        ".. code-block:: python\n   :linenos:\n\n   x = 1\n\n   y = 2",
        "Like this::\n\n   x = 1\n\n   y = 2",
        "* un\n\n  suite",
        "===== =====\na     b\n===== =====",
        "----",
    ],
    ids=["directive", "literal", "item", "table", "transition"],
)
def test_rst_blocks_stay_whole(block):
    assert found(rst, f"H\n=\n====\n\nTitre\n=====\nintro\n\n{block}\n\nfin\n")[-2:] == [
        ("Titre", block),
        ("Titre", "fin"),
    ]


def test_rst_title_right_below_a_paragraph_and_at_the_end():
    assert found(rst, "texte\nTitre\n=====") == [("", "texte"), ("Titre", "Titre\n=====")]


@pytest.mark.parametrize("module", [markdown, rst])
@pytest.mark.parametrize("text", ["", "\n \r\n\t"])
def test_blank_markup_has_no_segments(module, text):
    assert module.segments(text, "") == []
