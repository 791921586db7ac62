from __future__ import annotations

import hashlib
import struct

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state

from embedwell.engines.native import build_id, native_build

ID = bytes(range(20))
OTHER_NOTE = struct.pack("<III", 5, 3, 1) + b"abcd\0\0\0\0" + b"xyz\0"


def note(order: str) -> bytes:
    return struct.pack(order + "III", 4, len(ID), 3) + b"GNU\0" + ID


def elf(*segments: tuple[int, bytes], bits: int = 64, order: str = "<") -> bytes:
    """An ELF file of nothing but a header, program headers and their segments."""
    size = {32: 32, 64: 56}[bits]
    word = {32: "I", 64: "Q"}[bits]
    head = struct.pack("4sBB10x", b"\x7fELF", bits // 32, 1 if order == "<" else 2)
    head += struct.pack(order + "HHI" + 3 * word, 3, 62, 1, 0, 64, 0)
    head += struct.pack(order + "IHHH", 0, 64, size, len(segments))
    table, content = b"", b""
    for kind, body in segments:
        begin = 64 + size * len(segments) + len(content)
        if bits == 64:
            row = struct.pack(order + "IIQQQQQQ", kind, 0, begin, 0, 0, len(body), 0, 0)
        else:
            row = struct.pack(order + "IIIIIIII", kind, begin, 0, 0, len(body), 0, 0, 0)
        table += row
        content += body
    return head.ljust(64, b"\0") + table + content


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_build_id_is_read_whatever_the_word(tmp_path, bits, order):
    file = tmp_path / "library.so"
    file.write_bytes(elf((1, b"code"), (4, note(order)), bits=bits, order=order))
    assert build_id(file) == ID.hex()


def test_it_is_found_behind_other_notes(tmp_path):
    file = tmp_path / "library.so"
    file.write_bytes(elf((4, OTHER_NOTE), (4, OTHER_NOTE + note("<"))))
    assert native_build(file) == ID.hex()


@pytest.mark.parametrize("content", [b"", b"MZ" + bytes(100), elf((1, b"code")), elf()])
def test_what_has_none_is_known_by_its_hash(tmp_path, content):
    file = tmp_path / "library.dll"
    file.write_bytes(content)
    assert native_build(file) == hashlib.sha256(content).hexdigest()


@given(st.binary(max_size=200), st.integers(0, 200))
def test_damaged_files_have_no_build_id(tmp_path_factory, noise, at):
    whole = elf((4, note("<")))
    file = tmp_path_factory.mktemp("damaged") / "library.so"
    file.write_bytes(whole[:at] + noise)
    assert isinstance(build_id(file), str)


def test_onnxruntime_has_one(real_artifact):
    from pathlib import Path

    from embedwell.engines.registry import open_engine

    library = Path(onnxruntime_pybind11_state.__file__)
    build = open_engine(real_artifact("q8"), 1).build
    assert (build.name, build.version) == ("onnx", onnxruntime.__version__)
    assert build.native == native_build(library) != ""
