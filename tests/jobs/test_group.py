"""Documents of one transaction share their vectors, and fail one by one."""

from dataclasses import replace

import numpy as np
import pytest

from embedwell.core.embedded import Embedded
from embedwell.ingest.lanes import Lane, Lanes
from embedwell.ingest.prepare import Prepared
from embedwell.jobs.work.group import Group
from embedwell.jobs.work.prepare import Ready
from embedwell.stores.protocol import Document, Stat, StoredChunk
from embedwell.stores.queue import Item, Outcome, Task, Times
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder

WIDTH = 4
EMBEDDER = FakeEmbedder(replace(FAKE_SPACE, dimensions=WIDTH))
ONE = Lanes(Lane(EMBEDDER))
SPLIT = Lanes(Lane(EMBEDDER, ("text",)), Lane(EMBEDDER, ("code",)))
HYBRID = Lanes(Lane(EMBEDDER), Lane(EMBEDDER, ("code",)))


def row(number, *texts, status="done", kind="text"):
    task = Task(number, 1, 1, Item(f"{number}.md", "markdown", 9, 9), 1, 0, "", "me")
    chunks = [StoredChunk(0, len(text), 1, 1, "", text, f"hash of {text}") for text in texts]
    document = Document(f"{number}.md", 9, 9, "", kind, "markdown")
    outcome = Outcome(task, status, n_chunks=len(chunks), times=Times(read_s=0.5))
    return Ready(outcome, Prepared(document, chunks, texts))


def vectors(*numbers):
    return np.full((len(numbers), WIDTH), np.array(numbers, np.float32)[:, None])


def embed(share, *numbers, failures=None, took_s=3.0):
    tokens = np.arange(len(numbers)) + 10
    share.embedded(Embedded(vectors(*numbers), tokens, 0, FAKE_BUILD), failures or {}, took_s)


def group_of(*rows, lanes=ONE, known=None, promised=()):
    group = Group.of(rows, lanes)
    for share in group.shares:
        share.look_up(known or {}, frozenset(promised))
    return group


def test_a_text_that_several_documents_have_is_embedded_once():
    group = group_of(row(1, "same", "one"), row(2, "same"))
    (share,) = group.shares
    assert list(share.new.values()) == ["same", "one"]
    embed(share, 1, 2)
    first, second = group.documents()
    np.testing.assert_array_equal(first.vectors, vectors(1, 2))
    np.testing.assert_array_equal(second.vectors, vectors(1))
    assert first.code_vectors is None
    assert group.n_embedded == 2


def test_what_is_stored_or_promised_is_not_embedded():
    earlier = group_of(row(1, "promised"))
    stored = {"hash of stored": vectors(7)[0]}
    later = group_of(
        row(2, "stored", "promised", "new"), known=stored, promised=earlier.shares[0].new
    )
    assert list(later.shares[0].new.values()) == ["new"]
    embed(earlier.shares[0], 5)
    earlier.lend([later])
    embed(later.shares[0], 6)
    np.testing.assert_array_equal(later.documents()[0].vectors, vectors(7, 5, 6))


def test_each_row_has_its_share_of_the_time_and_its_tokens():
    group = group_of(row(1, "a", "b"), row(2, "c"))
    embed(group.shares[0], 1, 2, 3, took_s=3.0)
    first, second = group.outcomes()
    assert (first.times.embed_s, second.times.embed_s) == pytest.approx((2.0, 1.0))
    assert (first.n_tokens, second.n_tokens) == (21, 12)
    assert first.times.read_s == 0.5


def test_a_text_that_cannot_be_embedded_fails_its_document_in_every_group():
    group = group_of(row(1, "good"), row(2, "good", "bad"))
    later = group_of(row(3, "bad"), promised=group.shares[0].new)
    embed(group.shares[0], 1, 2, failures={1: "too odd"})
    group.lend([later])
    done, failed = group.outcomes()
    assert (done.status, failed.status, failed.n_chunks) == ("done", "failed", 0)
    assert failed.error == "passage 2 of 2: too odd"
    assert [len(item.chunks) for item in group.documents()] == [1, 0]
    assert later.outcomes()[0].status == "failed"


def test_rows_without_a_document_keep_what_became_of_them():
    skipped = Outcome(row(1).outcome.task, "skipped", "has the bytes that are stored")
    group = group_of(Ready(skipped, stat=Stat(1, 1)), row(2, status="failed"))
    assert [one.status for one in group.outcomes()] == ["skipped", "failed"]
    assert [item.document.key for item in group.documents()] == ["2.md"]


def test_of_a_split_pair_each_space_gets_its_kind():
    group = group_of(row(1, "same", "prose"), row(2, "same", kind="code"), lanes=SPLIT)
    text, code = group.shares
    assert list(text.new.values()) == ["same", "prose"]
    assert list(code.new.values()) == ["same"]
    embed(text, 1, 2, took_s=2.0)
    embed(code, 3, took_s=1.0)
    prose, source = group.documents()
    np.testing.assert_array_equal(prose.vectors, vectors(1, 2))
    assert prose.code_vectors is None
    assert source.vectors.shape == (0, WIDTH)
    np.testing.assert_array_equal(source.code_vectors, vectors(3))
    assert [one.n_tokens for one in group.outcomes()] == [21, 10]
    assert group.n_embedded == 3


def test_of_a_hybrid_pair_code_goes_to_both_spaces():
    group = group_of(row(1, "prose"), row(2, "source", kind="code"), lanes=HYBRID)
    text, code = group.shares
    embed(text, 1, 2)
    embed(code, 3)
    prose, source = group.documents()
    assert prose.code_vectors is None
    np.testing.assert_array_equal(source.vectors, vectors(2))
    np.testing.assert_array_equal(source.code_vectors, vectors(3))
    assert [one.n_tokens for one in group.outcomes()] == [10, 21]


def test_without_a_code_model_code_fails_and_text_goes_on():
    group = group_of(row(1, "same"), row(2, "same", kind="code"), lanes=SPLIT)
    later = group_of(row(3, "same", kind="code"), lanes=SPLIT, promised=group.shares[1].new)
    text, code = group.shares
    embed(text, 1)
    code.failed("the code model is not loaded")
    group.lend([later])
    assert [one.status for one in group.outcomes()] == ["done", "failed"]
    assert [len(one.chunks) for one in group.documents()] == [1, 0]
    assert later.outcomes()[0].error == "passage 1 of 1: the code model is not loaded"
