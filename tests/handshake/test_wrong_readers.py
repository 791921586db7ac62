"""Who declares the store's space and computes something else is refused, and nobody else is.

`benchmarks/wrong_readers.py` has many more, with what each would do to results.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import numpy as np
import onnx
import pytest

from embedwell.core.errors import DriftError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, normalized
from embedwell.engines.registry import open_engine
from embedwell.handshake.admit import admitted
from embedwell.models.convert import convert
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings

PROMPTS = {"query_prompt": "query: ", "document_prompt": "passage: "}
LAST_OF_LAYER = (1536, 384)  # shape of the matrices that a layer ends with


@dataclass
class Claiming:
    """Claims to be of a space, with a build of its own; vectors may be changed on the way."""

    inner: LocalEmbedder
    space: Space
    alter: Callable[[FloatArray], FloatArray] = lambda vectors: vectors
    key: str = field(default_factory=lambda: uuid4().hex)

    def embed(self, texts: Sequence[str], kind, watch):
        found = self.inner.embed(texts, kind, watch)
        vectors = np.ascontiguousarray(self.alter(found.vectors), np.float32)
        return replace(found, vectors=vectors, build=replace(found.build, artifact_key=self.key))

    def close(self):
        self.inner.close()


@pytest.fixture(scope="module")
def right(real_artifact):
    return real_artifact("q32")


class Remembering(LocalEmbedder):
    """Computes no call twice."""

    def embed(self, texts, kind, watch):
        known = self.__dict__.setdefault("known", {})
        if (*texts, kind) not in known:
            known[*texts, kind] = super().embed(texts, kind, watch)
        return known[*texts, kind]


@pytest.fixture(scope="module")
def writer(right):
    embedder = Remembering(right, open_engine(right, 1))
    yield embedder
    embedder.close()


@pytest.fixture(scope="module")
def stored(writer):
    """A store whose proof is the q32 artifact's."""
    return store_of(writer)


@pytest.fixture
def opened(right):
    """Opens artifacts that claim to be the right one."""
    embedders = []

    def open_one(claimed=right.space, **changed):
        artifact = replace(right, **changed)
        embedders.append(Claiming(LocalEmbedder(artifact, open_engine(artifact, 1)), claimed))
        return embedders[-1]

    yield open_one
    for embedder in embedders:
        embedder.close()


@pytest.fixture
def copied(right, tmp_path):
    """The right artifact's files, to be damaged."""
    return shutil.copytree(right.folder, tmp_path / "wrong")


def store_of(writer):
    store = MemoryStore(CollectionSettings(writer.space, 200))
    admitted(store, store.spaces.main().number, writer, (), "s").embed(["a"], "query", Watch())
    return store


def is_let_in(store, embedder):
    number = store.spaces.main().number
    try:
        admitted(store, number, embedder, (), "the store").embed(["a b"], "query", Watch())
    except DriftError:
        return False
    return True


def matrices(folder, shape):
    """Writable views of an artifact's matrices, in the order that they are used."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    file = np.memmap(folder / "weights.bin", np.float32, "r+")
    for constant in graph.initializer:
        place = {entry.key: int(entry.value) for entry in constant.external_data
                 if entry.key != "location"}  # fmt: skip
        if place and tuple(constant.dims) == shape:
            begin = place["offset"] // 4
            yield file[begin : begin + place["length"] // 4].reshape(constant.dims)


def noise(size, rows):
    drawn = np.random.default_rng(5).standard_normal((rows, 384), np.float32)
    return size * normalized(drawn)


def swap_last_two_layers(found):
    found[4][:], found[5][:] = found[5].copy(), found[4].copy()


def flip_high_bit(found):
    found[0].view(np.uint32)[10, 10] ^= np.uint32(1 << 30)


def flip_low_bit(found):
    found[0].view(np.uint32)[10, 10] ^= np.uint32(1 << 3)


def enlarge_one(found):
    found[5][:] *= 1.5


def round_to_4_bits(found):
    for matrix in found:
        blocks = matrix.reshape(-1, 32)
        steps = np.abs(blocks).max(axis=1, keepdims=True) / 7
        blocks[:] = np.rint(blocks / steps) * steps


@pytest.mark.parametrize(
    ("damage", "let_in"),
    [
        (swap_last_two_layers, False),
        (flip_high_bit, False),
        (enlarge_one, False),
        (round_to_4_bits, False),
        (flip_low_bit, True),
    ],
)
def test_damaged_weights_are_refused_if_it_matters(stored, copied, opened, damage, let_in):
    damage(list(matrices(copied, LAST_OF_LAYER)))
    assert is_let_in(stored, opened(folder=copied)) is let_in


@pytest.mark.parametrize(
    ("changed", "let_in"),
    [
        ({"lowercase": False, "strip_accents": False}, False),
        ({"strip_accents": False}, False),
        ({"strip_accents": True}, True),  # what lowering the case does anyway
    ],
)
def test_another_tokenizer_is_refused_if_it_matters(stored, copied, opened, changed, let_in):
    file = copied / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    tokenizer["normalizer"] |= changed
    file.write_text(json.dumps(tokenizer), "utf-8")
    assert is_let_in(stored, opened(folder=copied)) is let_in


@pytest.mark.parametrize("max_tokens", [64, 128])
def test_cutting_texts_earlier_is_refused(stored, right, opened, max_tokens):
    space = replace(right.space, max_tokens=max_tokens)
    assert not is_let_in(stored, opened(right.space, space=space))


def test_another_pooling_is_refused(stored, real_source, copied, opened):
    source = replace(real_source, card=replace(real_source.card, pooling="cls"))
    convert(source, "q32", "onnx", copied, Watch())
    assert not is_let_in(stored, opened(folder=copied))


@pytest.mark.parametrize("missing", [("query_prompt",), ("document_prompt",), tuple(PROMPTS)])
def test_prompts_left_out_on_either_side_are_refused(right, opened, missing):
    space = replace(right.space, **PROMPTS)
    prompted = opened(space, space=space)
    store = store_of(prompted)
    without = replace(space, **dict.fromkeys(missing, ""))
    assert not is_let_in(store, opened(space, space=without))


@pytest.mark.parametrize(
    ("alter", "let_in"),
    [
        (lambda v: np.where(np.arange(384) == 7, np.nan, v), False),
        (lambda v: np.where(np.arange(384) == 7, np.inf, v), False),
        (np.zeros_like, False),
        (np.ones_like, False),
        (lambda v: v[:, ::-1], False),
        (lambda v: -v, False),
        (lambda v: np.roll(v, 1, axis=0) if len(v) > 1 else v, False),
        (lambda v: v + noise(0.3, len(v)), False),
        (lambda v: v + noise(0.3, 1), False),
        (lambda v: v + noise(0.01, len(v)), True),
        (lambda v: v.astype(np.float16), True),
        (lambda v: 5 * v, True),
    ],
    ids=["nan", "infinite", "zero", "constant", "reversed", "negated", "other rows", "noise",
         "offset", "little noise", "float16", "not normalized"],
)  # fmt: skip
def test_changed_vectors_are_refused_if_it_matters(stored, writer, alter, let_in):
    assert is_let_in(stored, Claiming(writer, writer.space, alter)) is let_in
