"""Vectors from GGUF files beside those from safetensors, and beside llama.cpp's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf_models import give_tokenizer, tiny_bert, tiny_xlmr, write_random_bert
from gguf_writer import write_gguf
from random_weights import shallow
from tokenizers import Tokenizer

from embedwell.core.artifact import Artifact, Form, Quantization
from embedwell.core.errors import MissingExtraError
from embedwell.core.events import Watch
from embedwell.engines.registry import import_engine, open_engine
from embedwell.handshake.admit import admitted
from embedwell.models.calibration_texts import calibration_texts
from embedwell.models.catalogue import ModelCard, PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.gguf.artifact import quantization_of
from embedwell.models.gguf.card import card_of_gguf
from embedwell.models.gguf.header import read_header
from embedwell.models.source import SourceFiles
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings

TEXTS = [text for text in calibration_texts() if len(text) > 20][:80:5]
# Each file holds several types: Q3_K_M also has Q4_K and Q5_K in it.
ONLY_LLAMA_CPP: dict[str, Quantization] = {
    "Q6_K": "q4",
    "Q4_K_M": "q4",
    "Q3_K_M": "q4",
    "Q2_K": "q4",
    "IQ4_XS": "q4",
}
ENGINES: dict[Form, str] = {"onnx": "onnx", "gguf": "llamacpp"}


@pytest.fixture
def llamacpp() -> None:
    """Skips where llama.cpp is not installed."""
    try:
        import_engine("llamacpp")
    except MissingExtraError as error:
        pytest.skip(str(error))


def artifact_of(
    paths: dict[str, Path], row: ModelCard, level: Quantization, form: Form, folder: Path
) -> Artifact:
    """Convert into a new folder."""
    row = replace(row, files=dict.fromkeys(paths, PinnedFile("", 0)))
    folder.mkdir(parents=True)
    convert(SourceFiles(row, paths, "local"), level, form, folder, Watch())
    return Artifact(row.space, level, ENGINES[form], folder, str(folder), "", "", 0)


@contextmanager
def opened(artifact: Artifact) -> Iterator[LocalEmbedder]:
    embedder = LocalEmbedder(artifact, open_engine(artifact, 1))
    try:
        yield embedder
    finally:
        embedder.close()


def vectors(artifact: Artifact, texts: list[str] = TEXTS) -> np.ndarray:
    with opened(artifact) as embedder:
        return embedder.embed(texts, "document", Watch()).vectors


def published_vectors(folder: Path, row: ModelCard, target: Path) -> np.ndarray:
    """From safetensors, at q32."""
    names = ("config.json", "tokenizer.json", "model.safetensors")
    paths = {name: folder / name for name in names}
    return vectors(artifact_of(paths, row, "q32", "onnx", target))


def from_gguf(path: Path, row: ModelCard, form: Form, target: Path) -> np.ndarray:
    """By our reader and onnxruntime, or by llama.cpp."""
    level = "q32" if form == "onnx" else quantization_of(read_header(path))
    return vectors(artifact_of({path.name: path}, row, level, form, target))


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(axis=1)


@pytest.fixture(scope="module")
def minilm(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The real model as GGUF files, each written once."""
    folder = tmp_path_factory.mktemp("gguf")

    def write(kind: str) -> Path:
        path = folder / f"{kind}.gguf"
        return path if path.is_file() else write_gguf(published, path, kind)

    return write


@pytest.fixture(scope="module")
def right(real_artifact: Callable[[Quantization], Artifact]) -> np.ndarray:
    """The real model's vectors from safetensors at q32."""
    return vectors(real_artifact("q32"))


@pytest.mark.parametrize(
    ("kind", "worst"),
    [("F32", 0.999999), ("F16", 0.99999), ("Q8_0", 0.999), ("Q5_0", 0.95), ("Q4_0", 0.9)],
)
def test_a_gguf_file_gives_the_vectors_of_its_safetensors(
    kind: str, worst: float, minilm: Callable[[str], Path], right: np.ndarray, tmp_path: Path
):
    ours = from_gguf(minilm(kind), card("all-MiniLM-L6-v2"), "onnx", tmp_path / "artifact")
    assert cosines(ours, right).min() >= worst


@pytest.mark.usefixtures("llamacpp")
@pytest.mark.parametrize(("kind", "worst"), [("F32", 0.9999), ("Q8_0", 0.999)])
def test_llama_cpp_gives_the_vectors_that_our_reader_gives(
    kind: str, worst: float, minilm: Callable[[str], Path], right: np.ndarray, tmp_path: Path
):
    row = card("all-MiniLM-L6-v2")
    ours = from_gguf(minilm(kind), row, "onnx", tmp_path / "ours")
    theirs = from_gguf(minilm(kind), row, "gguf", tmp_path / "theirs")
    assert cosines(ours, theirs).min() >= worst
    assert cosines(right, theirs).mean() >= worst


@pytest.mark.usefixtures("llamacpp")
@pytest.mark.parametrize("model", ["minilm", "xlmr"])
def test_llama_cpp_gives_the_same_token_ids(model: str, published: Path, tmp_path: Path):
    texts = TEXTS
    folder = published
    if model == "xlmr":
        folder = tmp_path / "xlmr"
        tiny_xlmr(folder, texts)
    path = write_gguf(folder, tmp_path / "x.gguf", "Q8_0")
    row = replace(card_of_gguf(path, "x"), normalized=True)
    artifact = artifact_of({path.name: path}, row, "q8", "gguf", tmp_path / "artifact")
    code = """
import json, sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False)
texts = json.load(sys.stdin)
ids = [model.tokenize(text.encode(), add_bos=True, special=False) for text in texts]
print(json.dumps(ids))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, path],
        input=json.dumps(texts),
        capture_output=True,
        check=True,
        text=True,
    )
    ours = Tokenizer.from_file(str(artifact.tokenizer_file))
    assert [ours.encode(text).ids for text in texts] == json.loads(run.stdout.splitlines()[-1])


@pytest.mark.usefixtures("llamacpp")
@pytest.mark.parametrize("name", ["xlm-roberta-base", "nomic-bert", "modernbert-base"])
def test_llama_cpp_agrees_about_the_other_families(name: str, tmp_path: Path):
    network = shallow(name)
    network.write(tmp_path / "published")
    give_tokenizer(tmp_path / "published")
    path = write_gguf(tmp_path / "published", tmp_path / "x.gguf", "F32", network.pooling)
    row = replace(card_of_gguf(path, name), max_tokens=128)
    ours = from_gguf(path, row, "onnx", tmp_path / "ours")
    theirs = from_gguf(path, row, "gguf", tmp_path / "theirs")
    row = replace(row, architecture=network.architecture)
    assert cosines(ours, theirs).min() >= 0.9999
    published = published_vectors(tmp_path / "published", row, tmp_path / "from_safetensors")
    assert cosines(ours, published).min() >= 0.999999


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network wide enough for blocks of 256, as llama.cpp quantizes it."""
    folder = tmp_path_factory.mktemp("wide")
    tiny_bert(folder / "tiny")
    write_random_bert(folder / "published", folder / "tiny" / "tokenizer.json")
    whole = write_gguf(folder / "published", folder / "whole.gguf")
    code = """
import sys, llama_cpp
for kind in sys.argv[2:]:
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    options.nthread = 1
    target = f"{sys.argv[1]}/{kind}.gguf"
    source = f"{sys.argv[1]}/whole.gguf"
    assert llama_cpp.llama_model_quantize(source.encode(), target.encode(), options) == 0
"""
    command = [sys.executable, "-c", code, str(whole.parent), *ONLY_LLAMA_CPP]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.usefixtures("llamacpp")
@pytest.mark.parametrize("kind", ONLY_LLAMA_CPP)
def test_types_that_only_llama_cpp_writes_are_read_as_it_reads_them(
    kind: str, wide: Path, tmp_path: Path
):
    path = wide / f"{kind}.gguf"
    assert quantization_of(read_header(path)) == ONLY_LLAMA_CPP[kind]
    row = replace(card_of_gguf(path, "wide"), max_tokens=64)
    ours = from_gguf(path, row, "onnx", tmp_path / "ours")
    theirs = from_gguf(path, row, "gguf", tmp_path / "theirs")
    assert cosines(ours, theirs).min() >= 0.999


def test_builds_from_safetensors_and_gguf_read_each_others_stores(
    real_artifact: Callable[[Quantization], Artifact],
    minilm: Callable[[str], Path],
    tmp_path: Path,
):
    path = minilm("Q8_0")
    row = card("all-MiniLM-L6-v2")
    gguf = artifact_of({path.name: path}, row, "q32", "onnx", tmp_path / "artifact")
    with opened(gguf) as from_file, opened(real_artifact("q8")) as from_safetensors:
        for writer, reader in ((from_file, from_safetensors), (from_safetensors, from_file)):
            store = MemoryStore(CollectionSettings(writer.space, 200))
            for one in (writer, reader):
                admitted(store, 1, one, (), "a.db").embed(["text"], "document", Watch())
            assert len(store.spaces.admissions(1)) == 2


def test_no_table_is_ever_whole_in_memory(tmp_path: Path):
    code = """
import resource, sys
from pathlib import Path
from embedwell.models.gguf.header import read_header
from embedwell.models.gguf.tensors import GgufTensors
tensors = GgufTensors(read_header(Path(sys.argv[1])))
name = "embeddings.word_embeddings.weight"
n_rows, width = tensors.shape(name)
tensors.rows(name, 0, 1000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for start in range(0, n_rows, 1000):
    tensors.rows(name, start, start + 1000)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(n_rows * width * 4 >> 20, after - before >> 10)
"""
    network = shallow("minilm-l6")
    network = replace(
        network,
        config=network.config | {"vocab_size": 40_000},
        shapes=network.shapes | {"embeddings.word_embeddings.weight": (40_000, 384)},
    )
    network.write(tmp_path / "published")
    give_tokenizer(tmp_path / "published")
    path = write_gguf(tmp_path / "published", tmp_path / "x.gguf", "Q8_0")
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    table_mb, grown_mb = map(int, run.stdout.split())
    assert table_mb > 50
    assert grown_mb < 8
