"""Files that harm whoever reads them: bombs, cycles, depths, and what is no file at all."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

MIB = 1 << 20
HARM = Path(__file__).parent / "harm"
"""For PYTHONPATH: has the child that extracts do what HTML files tell it."""

HOLLOW = ("zeros.txt", "zeros.pdf", "zeros.ipynb")
"""A gigabyte each, over every limit."""

CRASHING = {
    "crash.html": r"crashed \(signal 11\)",
    "hang.html": "took longer than",
    "eat.html": "more than .* of memory",
    "eat_in_native_code.html": "(more than .* of memory|for want of memory)",
    "leave.html": r"crashed \(exit status 3\)",
    "raise_another.html": "extractor failed \\(KeyError",
}
"""For the extractor in `harm/`, which does what its file is called; and the reason given."""


def pdf(*objects: bytes, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1."""
    out = io.BytesIO(b"%PDF-1.7\n")
    out.seek(0, os.SEEK_END)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    at = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer <</Size %d /Root %d 0 R>>\n" % (len(objects) + 1, root))
    out.write(b"startxref\n%d\n%%%%EOF" % at)
    return out.getvalue()


def stream(data: bytes, entries: bytes = b"/Filter /FlateDecode") -> bytes:
    """A stream as it stands in a PDF."""
    return b"<<%s /Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


@cache
def deflated_zeros(times: int = 1) -> bytes:
    """120 MB of zeros, compressed again and again."""
    data = bytes(120 * MIB) if times == 1 else deflated_zeros(times - 1)
    return zlib.compress(data, 9)


def with_page(content: bytes) -> bytes:
    """A PDF with one page that draws this stream."""
    return pdf(
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        b"<</Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] /Resources <<>> >>",
        content,
    )


def flate_bomb() -> bytes:
    """120 KB that become 120 MB."""
    return with_page(stream(deflated_zeros()))


def nested_filters() -> bytes:
    """A few hundred bytes that become 120 MB by three filters."""
    return with_page(stream(deflated_zeros(3), b"/Filter [/FlateDecode /FlateDecode /FlateDecode]"))


def many_filters() -> bytes:
    """A filter named 20,000 times."""
    return with_page(stream(b"x", b"/Filter [" + b"/FlateDecode " * 20_000 + b"]"))


def object_stream() -> bytes:
    """A catalogue in an object stream of 120 MB, found by a cross-reference stream."""
    head = b"1 0 2 64 "
    body = b"<</Type /Catalog /Pages 2 0 R>>".ljust(64) + b"<</Type /Pages /Kids [] /Count 0>>"
    packed = zlib.compress(head + body + b" " * 120 * MIB, 9)
    entries = b"/Type /ObjStm /N 2 /First %d /Filter /FlateDecode" % len(head)
    out = b"%PDF-1.7\n"
    at_objects = len(out)
    out += b"3 0 obj\n" + stream(packed, entries) + b"\nendobj\n"
    at = len(out)
    rows = b"".join(
        bytes([kind]) + place.to_bytes(4, "big") + bytes([number])
        for kind, place, number in (
            (0, 0, 0),
            (2, 3, 0),
            (2, 3, 1),
            (1, at_objects, 0),
            (1, at, 0),
        )
    )
    table = b"/Type /XRef /Size 5 /W [1 4 1] /Root 1 0 R"
    out += b"4 0 obj\n" + stream(rows, table) + b"\nendobj\n"
    return out + b"startxref\n%d\n%%%%EOF" % at


def cyclic_pages() -> bytes:
    """A page tree whose branches are each other's."""
    return pdf(
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R 3 0 R] /Count 2>>",
        b"<</Type /Pages /Kids [2 0 R 2 0 R] /Count 2 /Parent 2 0 R>>",
    )


def cyclic_objects() -> bytes:
    """A catalogue that is a reference to itself."""
    return pdf(b"1 0 R")


def deep_pdf() -> bytes:
    """Arrays in arrays, 100,000 of them."""
    return pdf(b"<</Type /Catalog /Pages " + b"[" * 100_000 + b"]" * 100_000 + b">>")


def endless_drawing() -> bytes:
    """A form that draws itself, twice."""
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources <</XObject <</A 4 0 R>> >>"
    return pdf(
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        b"<</Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] "
        b"/Resources <</XObject <</A 4 0 R>> >> >>",
        stream(b"/A Do /A Do", entries),
    )


def deep_notebook() -> bytes:
    """Lists in lists, a million of them, where a cell's source should be."""
    return b'{"cells": [{"cell_type": "code", "source": ' + b"[" * 1_000_000 + b"]" * 1_000_000


def cyclic_notebook() -> bytes:
    """Cells that show each other's attachments, and one that is its own parent's."""
    cells = [
        {
            "cell_type": "markdown",
            "id": name,
            "source": f"![x](attachment:{other})",
            "attachments": {other: {"text/plain": f"attachment:{name}", "$ref": "#/cells/0"}},
            "metadata": {"parent": other, "children": [name, other]},
        }
        for name, other in (("a", "b"), ("b", "a"), ("c", "c"))
    ]
    return json.dumps({"cells": cells, "metadata": {"$ref": "#"}}).encode()


def long_notebook() -> bytes:
    """One cell of 60 MB."""
    return b'{"cells": [{"cell_type": "raw", "source": "' + b"word " * 12_000_000 + b'"}]}'


def wide_notebook() -> bytes:
    """Twelve million empty cells."""
    return b'{"cells": [' + b"{}, " * 12_000_000 + b"{}]}"


def zipped() -> bytes:
    """A zip bomb: 120 MB of zeros, four times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"{number}", bytes(30 * MIB))
    return out.getvalue()


TOO_MUCH = "(more than .* of memory|for want of memory|took longer than)"
NO_TEXT = "None of the 1 pages of the PDF holds text"

BYTES: dict[str, tuple[Callable[[], bytes], str]] = {
    "flate_bomb.pdf": (flate_bomb, NO_TEXT),
    "nested_filters.pdf": (nested_filters, NO_TEXT),
    "many_filters.pdf": (many_filters, NO_TEXT),
    "object_stream.pdf": (object_stream, "The PDF is broken"),
    "cyclic_pages.pdf": (cyclic_pages, "The PDF is broken"),
    "cyclic_objects.pdf": (cyclic_objects, "The PDF is broken"),
    "deep.pdf": (deep_pdf, "The PDF is broken"),
    "endless_drawing.pdf": (endless_drawing, NO_TEXT),
    "deep.ipynb": (deep_notebook, "not valid JSON"),
    "long.ipynb": (long_notebook, "(60,000,002 characters|more than .* of memory)"),
    "wide.ipynb": (wide_notebook, TOO_MUCH),
    "zip.pdf": (zipped, "The PDF is broken"),
    "zip.ipynb": (zipped, "The file is binary"),
    "zip.txt": (zipped, "The file is binary"),
    "gzip.txt": (lambda: gzip.compress(bytes(120 * MIB), 9), "The file is binary"),
    "arrows.c": (lambda: b"a=>" * 20_000, TOO_MUCH),
    "less.java": (lambda: b"a<b<" * 8_000, TOO_MUCH),
}
"""What they hold, and why they are failed."""

HARMLESS: dict[str, tuple[Callable[[], bytes], str]] = {
    "cyclic.ipynb": (cyclic_notebook, "attachment:c"),
    "deep.html": (lambda: b"<div>" * 100_000 + b"deepest" + b"</div>" * 100_000, "deepest"),
    "line\nbreak.md": (lambda: b"# A name with a line break", "a line break"),
}
"""Odd files that can be read all the same, and a part of their text."""


def write_hollow(folder: Path) -> None:
    """Files of a gigabyte that take no room on the disk."""
    for name in HOLLOW:
        with (folder / name).open("wb") as sparse:
            sparse.truncate(1 << 30)


def write_no_files(folder: Path) -> None:
    """What has the name of a text and is none: a pipe, a device, a socket."""
    os.mkfifo(folder / "pipe.txt")
    (folder / "zero.txt").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        place = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            listener.bind("socket.txt")
        finally:
            os.chdir(place)
