"""What a GGUF file says is checked before it is used."""

from __future__ import annotations

import random
import struct
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from gguf_models import tiny_bert
from gguf_writer import write_gguf

from embedwell.core.errors import ConversionError, EmbedwellError, WrongBytesError
from embedwell.models.gguf.card import card_of_gguf
from embedwell.models.gguf.config import pooling_of, published_config
from embedwell.models.gguf.header import read_header
from embedwell.models.gguf.opening import open_gguf
from embedwell.models.gguf.tokenizer import tokenizer_json
from embedwell.models.networks.registry import read_network
from embedwell.models.tensors import Tensors

F32 = 0
WEIGHTS = ("w", (4, 8), F32, 0)  # name, dimensions, type, offset


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def field(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, dimensions: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name.encode()) + sizes + struct.pack("<IQ", kind, offset)


ARCHITECTURE = field(b"general.architecture", 8, text(b"bert"))


def whole(
    fields: tuple[bytes, ...] = (ARCHITECTURE,),
    tensors: tuple[tuple, ...] = (WEIGHTS,),
    data: bytes = bytes(128),
    start: bytes = b"GGUF\x03\0\0\0",
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file, sound unless a part says otherwise."""
    n_tensors, n_fields = counts or (len(tensors), len(fields))
    head = start + struct.pack("<QQ", n_tensors, n_fields)
    head += b"".join(fields) + b"".join(tensor(*entry) for entry in tensors)
    return head + bytes(-len(head) % 32) + data


def test_reads_fields_and_places_of_a_sound_file(tmp_path: Path):
    fields = (
        ARCHITECTURE,
        field(b"number", 4, struct.pack("<I", 7)),
        field(b"real", 6, struct.pack("<f", 0.5)),
        field(b"yes", 7, b"\1"),
        field(b"list", 9, struct.pack("<IQ3H", 2, 3, 1, 2, 3)),
        field(b"words", 9, struct.pack("<IQ", 8, 2) + text(b"a") + text("é".encode())),
    )
    data = np.arange(32, dtype=np.float32)
    (tmp_path / "x.gguf").write_bytes(whole(fields, data=data.tobytes()))
    header = read_header(tmp_path / "x.gguf")
    assert header.architecture == "bert"
    assert header.count("number") == 7
    assert header.number("real") == 0.5
    assert header.number("number") == 7.0
    assert header.flag("yes", default=False)
    assert header.numbers("list").tolist() == [1, 2, 3]
    assert header.texts("words") == ["a", "é"]
    assert header.tensors["w"].shape == (8, 4)
    assert header.tensors["w"].n_bytes == 128


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cut short"),
        (b"\x80\x04\x95 a pickle", "is not a GGUF file"),
        (b"GGUF\x03\0\0\0\1", "cut short"),
        (whole()[:-1], "would end at byte"),
        (whole()[:60], "cut short"),
        (whole(counts=(2**60, 1)), "claims"),
        (whole(counts=(1, 2**60)), "claims"),
        (whole(counts=(1, 60_000)), "is not a sound GGUF file"),
        (whole((struct.pack("<Q", 2**60),)), "name of 1152921504606846976 bytes"),
        (whole((field(b"k", 8, struct.pack("<Q", 2**60)),)), "cut short"),
        (whole((field(b"k", 9, struct.pack("<IQ", 6, 2**60)),)), "cut short"),
        (whole((field(b"k", 9, struct.pack("<IQ", 8, 2**60)),)), "list of"),
        (whole((field(b"k", 9, struct.pack("<IQ", 9, 1)),)), "unknown type 9"),
        (whole((field(b"k", 99, b""),)), "unknown type 99"),
        (whole((ARCHITECTURE, ARCHITECTURE)), "two fields"),
        (whole(tensors=(("w", (4, 0), F32, 0),)), "has the shape"),
        (whole(tensors=(("w", (2**50,), F32, 0),)), "would end at byte"),
        (whole(tensors=(("w", (2**63, 2**63, 2**63), F32, 0),)), "would end at byte"),
        (whole(tensors=(("w", (4, 8), F32, 2**63),)), "would end at byte"),
        (whole(tensors=(("w", (1, 1, 1, 1, 1), F32, 0),)), "5 dimensions"),
        (whole(tensors=(("w", (4, 8), 4711, 0),)), "unknown type 4711"),
        (whole(tensors=(("w", (4, 8), 8, 0),)), "has the shape"),  # Q8_0 has blocks of 32
        (whole(tensors=(("w", (4, 4), F32, 0), ("w", (4, 4), F32, 64))), "one name"),
        (whole(tensors=(("v", (4, 4), F32, 0), ("w", (4, 4), F32, 32))), "overlap"),
        (whole((field(b"general.alignment", 4, struct.pack("<I", 3)),)), "alignment is 3"),
        (whole((field(b"general.alignment", 8, text(b"x")),)), "alignment is x"),
    ],
)
def test_broken_and_hostile_files_are_refused_by_name_at_once(
    tmp_path: Path, content: bytes, complaint: str
):
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(WrongBytesError, match=complaint) as caught:
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "broken.gguf" in str(caught.value)
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (b"GGUF\x01\0\0\0", "version 1"),
        (b"GGUF\x63\0\0\0", "version 99"),
        (b"GGUF\0\0\0\x03", "big-endian"),
    ],
)
def test_other_versions_and_byte_orders_are_refused(tmp_path: Path, start: bytes, complaint: str):
    (tmp_path / "x.gguf").write_bytes(whole(start=start))
    with pytest.raises(ConversionError, match=complaint):
        read_header(tmp_path / "x.gguf")


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path):
    with pytest.raises(WrongBytesError, match="cannot be read"):
        read_header(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("bert.block_count", None, "no 'bert.block_count'"),
        ("bert.block_count", "six", "is not a number of things"),
        ("bert.block_count", 2**30, "claims 1073741824 layers"),
        ("bert.block_count", 0, "claims 0 layers"),
        ("bert.embedding_length", -1, "is not a number of things"),
        ("bert.attention.layer_norm_epsilon", float("nan"), "is not a number"),
        ("bert.attention.causal", 3, "is not true or false"),
        ("bert.attention.causal", True, "before them"),
        ("general.architecture", "llama", "'llama'"),
        ("general.architecture", None, "no 'general.architecture'"),
    ],
)
def test_a_missing_or_unfit_field_is_named(tmp_path: Path, key: str, value, complaint: str):
    header = read_header(write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf"))
    fields = {name: held for name, held in header.fields.items() if name != key}
    if value is not None:
        fields[key] = value
    object.__setattr__(header, "fields", fields)
    with pytest.raises(ConversionError, match=complaint):
        published_config(header)


def test_a_file_that_does_not_say_how_it_pools_is_refused(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf", pooling="none")
    with pytest.raises(ConversionError, match="how token vectors become one"):
        pooling_of(read_header(path))


def test_flipped_and_missing_bytes_raise_nothing_but_our_errors(tmp_path: Path):
    path = write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf", "Q8_0")
    sound = path.read_bytes()
    n_head = read_header(path).tensors["token_embd.weight"].start
    rng = random.Random(7)
    refused = 0
    for _ in range(250):
        content = bytearray(sound[: rng.randrange(len(sound))] if rng.random() < 0.2 else sound)
        for _ in range(rng.randrange(1, 9)):
            if content:
                content[rng.randrange(min(len(content), n_head + 64))] = rng.randrange(256)
        path.write_bytes(content)
        refused += not _usable(path)
    assert 50 < refused < 250


def _usable(path: Path) -> bool:
    try:
        fields, published = open_gguf(path)
        with closing(published):
            network = read_network(fields)
            tensors = Tensors(published, network)
            for name in network.config.shapes():
                tensors.read(name)
        tokenizer_json(read_header(path))
        card_of_gguf(path, "file:x")
    except EmbedwellError:
        return False
    return True
