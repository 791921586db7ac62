"""Cutting documents anew after the length of chunks has changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.events import Watch
from embedwell.ingest.extract import extract_text
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.prepare import prepare
from embedwell.jobs.rechunk import rechunk_records, whole_text
from embedwell.jobs.records import Record, add_records
from embedwell.stores.protocol import Document, FoundChunk
from embedwell.testing import admitted_fake, word_starts
from one_folder import index_folder

LONG = "\n\n".join(f"Part {n} is about {'one thing ' * 8}and ends." for n in range(12))


def passages(store, key):
    return [(found.chunk.start, found.chunk.text) for found in store.passages(key)]


def test_records_are_cut_as_if_they_were_new(store):
    add_records([Record("a", LONG, {"n": 1})], store, lambda: admitted_fake(store))
    before = passages(store, "a")
    store.set_chunk_tokens(20)
    assert rechunk_records(store, lambda: admitted_fake(store), Watch()) == 1
    after = passages(store, "a")
    assert len(after) > len(before)
    add_records([Record("b", LONG, {})], store, lambda: admitted_fake(store))
    assert after == passages(store, "b")
    assert store.passages("a")[0].metadata == {"n": 1}
    assert store.settings.chunk_tokens == 20


def test_passages_that_come_out_the_same_are_not_embedded(store, embedder):
    admitted = admitted_fake(store, embedder)
    add_records([Record("a", "only a few words", {})], store, lambda: admitted)
    embedder.seen.clear()
    store.set_chunk_tokens(30)
    rechunk_records(store, lambda: admitted, Watch())
    assert embedder.seen == []


def test_files_are_read_again(folder, store, embedder):
    (folder / "long.md").write_text(LONG)
    admitted = admitted_fake(store, embedder)
    index_folder(folder, store, lambda: admitted)
    before = passages(store, "long.md")
    store.set_chunk_tokens(20)
    report = index_folder(folder, store, lambda: admitted, all_anew=True)
    assert (report.n_updated, report.n_unchanged) == (3, 0)
    assert len(passages(store, "long.md")) > len(before)


@given(st.lists(st.sampled_from(["word ", "line\n", "\n", "  ", "é. ", "\t"]), max_size=120))
def test_the_text_of_passages_is_the_documents_but_for_kinds_of_white_space(parts):
    text = "".join(parts)
    document = Document("a", 0, 0, "", "text", "")
    prepared = prepare(document, extract_text(text, PLAIN), word_starts, 5)
    found = [FoundChunk(n, "a", "text", "", {}, chunk) for n, chunk in enumerate(prepared.chunks)]
    whole = whole_text(found)
    for chunk in prepared.chunks:
        assert whole[chunk.start : chunk.end] == chunk.text
        assert whole[: chunk.start].count("\n") == chunk.start_line - 1
