"""A GGUF file becomes an artifact for llama.cpp as it is, at the level that it has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_models import give_tokenizer, tiny_bert
from gguf_writer import write_gguf
from published import Recorder
from random_weights import shallow
from tokenizers import Tokenizer

from embedwell.core.errors import ConversionError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.models.catalogue import PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.gguf.artifact import GGUF_FILE, quantization_of
from embedwell.models.gguf.header import read_header
from embedwell.models.source import SourceFiles


def source_of(path: Path, **changes) -> SourceFiles:
    row = replace(card("all-MiniLM-L6-v2"), files={path.name: PinnedFile("", 0)}, **changes)
    return SourceFiles(row, {path.name: path}, "local")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An empty folder to write into."""
    (tmp_path / "artifact").mkdir()
    return tmp_path / "artifact"


def written(folder: Path, kind: str) -> Path:
    return write_gguf(tiny_bert(folder / "tiny"), folder / f"{kind}.gguf", kind)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("F32", "q32"),
        ("F16", "q16"),
        ("BF16", "q16"),
        ("Q8_0", "q8"),
        ("Q5_1", "q4"),
        ("Q5_0", "q4"),
        ("Q4_0", "q4"),
    ],
)
def test_the_level_is_that_of_the_matrices(kind: str, level: str, tmp_path: Path):
    assert quantization_of(read_header(written(tmp_path, kind))) == level


def test_the_file_is_linked_and_its_tokenizer_lies_beside_it(tmp_path: Path, made: Path):
    path = written(tmp_path, "Q8_0")
    convert(source_of(path), "q8", "gguf", made, Watch())
    assert sorted(found.name for found in made.iterdir()) == [GGUF_FILE, "tokenizer.json"]
    assert (made / GGUF_FILE).samefile(path)
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    assert tokenizer.encode("hello world").tokens == ["[CLS]", "hello", "world", "[SEP]"]


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot link."""

    def refuse(*_) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)


def test_a_disk_without_links_gets_a_copy(tmp_path: Path, made: Path, no_links: None):
    path = written(tmp_path, "F16")
    recorder = Recorder()
    convert(source_of(path), "q16", "gguf", made, recorder.watch)
    assert not (made / GGUF_FILE).samefile(path)
    assert (made / GGUF_FILE).read_bytes() == path.read_bytes()
    assert recorder.steps[-1].done == recorder.steps[-1].total == path.stat().st_size


def test_a_copy_can_be_stopped(tmp_path: Path, made: Path, no_links: None):
    watch = Watch()
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        convert(source_of(written(tmp_path, "F16")), "q16", "gguf", made, watch)


def test_another_level_is_refused_with_the_files_own(tmp_path: Path, made: Path):
    with pytest.raises(ConversionError, match=r"at q8.* asked for was q4.*`quantization` to q8"):
        convert(source_of(written(tmp_path, "Q8_0")), "q4", "gguf", made, Watch())
    assert not any(made.iterdir())


def test_weights_in_safetensors_are_refused(tmp_path: Path, made: Path):
    path = tiny_bert(tmp_path / "tiny") / "model.safetensors"
    with pytest.raises(ConversionError, match="needs a GGUF file") as refusal:
        convert(source_of(path), "q8", "gguf", made, Watch())
    assert ":gguf" not in refusal.value.remedy  # it publishes none


def test_a_network_that_llama_cpp_computes_wrongly_is_refused(tmp_path: Path, made: Path):
    shallow("jina-bert-code").write(tmp_path / "jina")
    give_tokenizer(tmp_path / "jina")
    path = write_gguf(tmp_path / "jina", tmp_path / "jina.gguf")
    with pytest.raises(ConversionError, match=r"wrongly.*`engine` to onnx"):
        convert(source_of(path), "q32", "gguf", made, Watch())


def test_weights_of_another_family_are_refused(tmp_path: Path, made: Path):
    path = written(tmp_path, "F32")
    with pytest.raises(ConversionError, match="of the family 'bert', expected 'nomic_bert'"):
        convert(source_of(path, architecture="nomic_bert"), "q32", "onnx", made, Watch())
