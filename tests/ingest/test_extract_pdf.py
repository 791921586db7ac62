"""PDF: the text of each page, its number and the outline; broken files are named."""

import io
import logging

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.errors import DependencyError
from pypdf.generic import Destination
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from embedwell.core.errors import ExtractionError
from embedwell.ingest.extract import extract
from embedwell.ingest.extractors import pdf
from embedwell.ingest.formats import format_of

PDF = format_of("a.pdf")


def make(*pages, outline=(), password=None):
    """A PDF of these pages; the outline has (page from 0, level, title)."""
    encryption = None if password is None else StandardEncryption(password, strength=128)
    file = io.BytesIO()
    canvas = Canvas(file, encrypt=encryption)
    for number, page in enumerate(pages):
        for at, level, title in outline:
            if at == number:
                canvas.bookmarkPage(title)
                canvas.addOutlineEntry(title, title, level=level)
        for row, line in enumerate(page.split("\n")):
            canvas.drawString(72, 720 - 20 * row, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def found(data):
    page = extract(data, PDF)
    return [(part.title, page.text[part.start : part.end]) for part in page.segments]


def test_pages_are_segments_and_the_outline_gives_their_headings():
    outline = [(0, 0, "Été"), (2, 0, "Hiver"), (2, 1, "Noël"), (3, 1, "Épiphanie")]
    data = make("à l'été\nsuite", "œuvre", "gîte", "fin", "", outline=outline)
    assert found(data) == [
        ("Été > page 1", "à l'été\nsuite"),
        ("Été > page 2", "œuvre"),
        ("Hiver > page 3", "gîte"),
        ("Hiver > Épiphanie > page 4", "fin"),
    ]


def test_lines_are_those_of_the_extracted_text():
    page = extract(make("a\nb", "c"), PDF)
    assert [page.line_of(page.text.index(word)) for word in "abc"] == [1, 2, 4]


def test_protected_without_a_password_is_read():
    assert found(make("ouvert", password="")) == [("page 1", "ouvert")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (make("x", password="secret"), r"encrypted\. Save it without a password"),
        (make(""), r"None of the 1 pages .* Run OCR"),
        (b"", "broken"),
        (b"not a PDF", "broken"),
        (make("x")[:300], "broken"),
        (b"%PDF-1.4\n" + b"[" * 50_000, "broken"),
    ],
    ids=["encrypted", "no text", "empty", "other", "truncated", "nested"],
)
def test_what_cannot_be_read_is_refused_by_name(data, problem, caplog, capsys):
    with caplog.at_level(logging.WARNING), pytest.raises(ExtractionError, match=problem):
        extract(data, PDF)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_a_broken_page_is_noted_and_the_others_are_read():
    data = make("un", "deux").replace(b"/ASCII85Decode", b"/ASCIIxxDecode", 1)
    page = extract(data, PDF)
    assert page.text.strip() == "deux"
    assert len(page.notes) == 1
    assert page.notes[0].startswith("Page 1 could not be read (")


def test_limits_leave_out_and_say_so(monkeypatch):
    data = make("un", "deux", "trois")
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    assert extract(data, PDF).notes == ["Pages after 2 were left out."]
    monkeypatch.setattr(pdf, "MAX_CHARS", 3)
    assert extract(data, PDF).notes[1] == "Pages from 2 on were left out: the text is too long."
    monkeypatch.setattr(pdf, "MAX_DRAWING_BYTES", 3)
    with pytest.raises(ExtractionError, match="left out"):
        extract(data, PDF)


def test_a_broken_outline_costs_headings_only(monkeypatch):
    def broken(self: PdfReader, destination: Destination) -> int:
        raise ValueError

    monkeypatch.setattr(PdfReader, "get_destination_page_number", broken)
    data = make("un", outline=[(0, 0, "Titre")])
    assert found(data) == [("page 1", "un")]
    assert extract(data, PDF).notes == ["The outline could not be read (ValueError: )."]


def test_aes_names_the_package_that_it_needs(monkeypatch):
    def needs_more(self: PdfReader, password: str) -> int:
        raise DependencyError

    monkeypatch.setattr(PdfReader, "decrypt", needs_more)
    with pytest.raises(ExtractionError, match="pip install cryptography"):
        extract(make("x", password=""), PDF)


def test_a_pdf_without_pages_is_refused():
    file = io.BytesIO()
    PdfWriter().write(file)
    with pytest.raises(ExtractionError, match="no pages"):
        extract(file.getvalue(), PDF)
