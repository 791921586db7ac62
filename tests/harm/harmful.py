"""An extractor as bad as its files ask for, by their first line; others it reads as HTML."""

import ctypes
import os
import sys
import time
from contextlib import suppress

from embedwell.core.errors import ExtractionError
from embedwell.ingest.extractors import html

KEPT = []


def crash():
    ctypes.string_at(0)


def hang():
    while True:
        pass


def hang_in_native_code():
    ctypes.PyDLL(None).sleep(1000)  # holds the interpreter's lock


def eat():
    while True:
        KEPT.append(b"x" * (1 << 20))


def eat_in_native_code():
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    while True:
        ctypes.memset(library.malloc(1 << 20) or library.abort(), 1, 1 << 20)


def grow():
    KEPT.append(b"x" * (60 << 20))


def talk():
    print("noise on standard output")  # noqa: T201
    os.write(1, b"more noise")
    assert sys.stdin.read() == ""


def lie():
    for pipe in range(3, 20):
        with suppress(OSError):
            os.write(pipe, b"\x05" + bytes(7) + b"\xc1lies")


def promise_much():
    for pipe in range(3, 20):
        with suppress(OSError):
            os.write(pipe, b"\xff" * 8)


def raise_another():
    raise KeyError("\ud800")


def refuse():
    raise ExtractionError("It is \ud800 odd.", "Mend it.")


def leave():
    os._exit(3)


def dawdle():
    time.sleep(1)


DEEDS = {
    name: deed
    for name, deed in globals().items()
    if callable(deed) and getattr(deed, "__module__", "") == __name__
}


def extract(data, form):
    first = data.split(b"\n", 1)[0].decode("utf-8", "replace")
    if first in DEEDS:
        DEEDS[first]()
    return html.extract(data, form)
