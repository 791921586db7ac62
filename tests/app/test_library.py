"""The library as a program uses it, on the real model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from msgspec import structs

import embedwell
from embedwell.app.indexes.asking import filter_of
from embedwell.core.errors import (
    ConversionError,
    EmbedwellError,
    QueryError,
    SpaceMismatchError,
    StoreError,
    StoreNotFoundError,
    UnknownModelError,
)
from embedwell.models.known import Known
from embedwell.testing import FAKE_SPACE


@pytest.fixture
def index(real_cache, tmp_path):
    (tmp_path / "notes").mkdir()
    with embedwell.open(tmp_path / "notes") as opened:
        yield opened


def keys(found):
    return [result.chunk.key for result in found.results]


def test_texts_are_added_found_filtered_and_deleted(index):
    texts = ["The mirror rebuilds itself in six hours.", "Le pain lève mieux au chaud."]
    ids = index.add(texts, ids=["disk", "bread"], metadata=[{"year": 2024}, {"year": 2025}])
    assert ids == ["disk", "bread"]
    assert keys(index.search("rebuilding a drive", k=1)) == ["disk"]
    assert keys(index.search("rebuilding a drive", where={"year": 2025})) == ["bread"]
    assert keys(index.search("anything", where={"year": 1999}, mode="semantic")) == []
    assert index.delete(["disk", "unknown"]) == 1
    assert "disk" not in keys(index.search("rebuilding a drive"))


def test_the_same_id_replaces(index):
    index.add(["first words"], ids=["a"])
    index.add(["other content"], ids=["a"])
    assert index.counts().documents == 1
    assert index.search("other", k=1).results[0].chunk.chunk.text == "other content"


def test_without_ids_the_text_names_itself(index):
    assert index.add(["one", "two"]) == index.add(["one", "two"])
    assert index.counts().documents == 2


def test_lengths_that_do_not_match_are_refused(index):
    with pytest.raises(ValueError, match="2 texts came with 1 ids"):
        index.add(["one", "two"], ids=["a"])


def test_what_is_no_list_of_texts_is_refused_before_anything_is_done(index):
    index.add(["first words"], ids=["a"])
    for ask in (
        lambda: index.add("hello"),
        lambda: index.add(["hello"], ids="a"),
        lambda: index.add(["hello"], ids=[1]),
        lambda: index.add([None]),
        lambda: index.add(["hello"], metadata=["year"]),
        lambda: index.delete("abc"),
        lambda: index.delete([1]),
    ):
        with pytest.raises(TypeError, match="takes"):
            ask()
    with pytest.raises(ValueError, match="kind 'prose'"):
        index.add(["hello"], kind="prose")
    assert index.counts().documents == 1


def test_a_closed_index_says_so(index):
    index.close()
    with pytest.raises(StoreError, match="was closed"):
        index.counts()


def test_an_index_keeps_its_model_and_refuses_another(index, monkeypatch):
    index.add(["some words"])
    index.close()
    other = embedwell.open(index.target.parent.parent)
    embedders = other.embedders
    embedders.settings = structs.replace(embedders.settings, model="other")
    real = Known.card

    class OtherCard:
        space = FAKE_SPACE

    monkeypatch.setattr(
        Known, "card", lambda known, name: OtherCard if name == "other" else real(known, name)
    )
    with pytest.raises(SpaceMismatchError, match="dimensions: 384 in the index, 32 asked"):
        other.search("words")
    assert other.search("words", mode="lexical").results
    other.close()


def test_an_unknown_kind_is_refused(index):
    with pytest.raises(QueryError, match="'prose'"):
        index.search("x", where={"kind": "prose"})


def test_a_folder_can_be_named_where_the_index_lies_elsewhere(real_cache, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.md").write_text("a note on bread")
    with embedwell.open(db=tmp_path / "other.db") as index:
        with pytest.raises(StoreNotFoundError, match="Name the folder"):
            index.add_folder()
        assert index.add_folder(tmp_path / "texts").n_added == 1


def test_those_that_make_one_index_together_all_have_it(real_cache, tmp_path):
    together, found = threading.Barrier(4), []

    def work():
        together.wait()
        try:
            with embedwell.open(tmp_path) as index:
                found.append(index.counts().documents)
        except EmbedwellError as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 0, 0, 0]


def test_without_create_nothing_is_made(tmp_path):
    with pytest.raises(StoreNotFoundError):
        embedwell.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_an_embedder_serves_several_threads(real_cache):
    texts = [f"text number {number}" for number in range(50)]
    with embedwell.Embedder(threads=1) as embedder:
        assert embedder.space.dimensions == 384
        expected = embedder.embed(texts)
        found = {}

        def work(name):
            found[name] = embedder.embed(texts)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for vectors in found.values():
        assert (vectors * expected).sum(axis=1).min() > 0.99999


def test_a_kind_that_is_none_is_not_taken_for_a_document(real_cache):
    with embedwell.Embedder() as embedder, pytest.raises(ValueError, match="no kind 'Query'"):
        embedder.embed(["a text"], kind="Query")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("service", ["auto", "off"])
def test_a_forked_child_embeds_and_closes_without_its_parents_threads(
    real_cache, monkeypatch, tmp_path, service
):
    monkeypatch.setenv("EMBEDWELL_SERVICE", service)
    monkeypatch.setenv("EMBEDWELL_SOCKET", str(tmp_path / "none"))
    code = (
        "import embedwell, os\n"
        "embedder = embedwell.Embedder(threads=2); embedder.embed(['parent'])\n"
        "child = os.fork()\n"
        "embedder.embed(['both']); embedder.close()\n"
        "if child: print(os.waitpid(child, 0)[1])\n"
        "else: os._exit(0)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "0\n", done.stderr


def test_one_text_is_not_taken_for_a_list_of_letters(real_cache):
    with embedwell.Embedder() as embedder, pytest.raises(TypeError, match="list of texts"):
        embedder.embed("hello")


def test_truncation_is_a_warning(real_cache):
    with embedwell.Embedder() as embedder:
        with pytest.warns(embedwell.TruncationWarning, match="1 of 2 texts"):
            vectors = embedder.embed(["word " * 1000, "short"])
        assert np.isfinite(vectors).all()


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UnknownModelError, match="all-MiniLM-L6-v2"):
        embedwell.Embedder("all-MiniLM-L7")


def test_the_published_values_of_hello_world(real_artifact, data, monkeypatch):
    import json

    monkeypatch.setenv("EMBEDWELL_CACHE", str(real_artifact("q32").folder.parent.parent))
    reference = json.loads((data / "reference/first_values.json").read_text("utf-8"))
    values = reference["values"]["sentence-transformers/all-MiniLM-L6-v2"]
    with embedwell.Embedder(quantization="q32") as embedder:
        found = embedder.embed(["hello world"])[0, :5]
    assert np.abs(found - values).max() < 1e-3


def test_calibrating_with_too_few_texts_is_refused(real_source):
    from embedwell.core.events import Watch
    from embedwell.models.calibrate import calibrate

    with pytest.raises(ConversionError, match="too few"):
        calibrate(real_source, ["one"], Watch())


@pytest.mark.parametrize("where", [{"path": 3}, {"language": ["python"]}, {"kind": ["text"]}])
def test_filters_that_are_no_texts_are_refused(where):
    with pytest.raises(QueryError, match="is no text"):
        filter_of(where)
