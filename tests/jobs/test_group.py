"""Documents of one transaction share their vectors, and fail one by one."""

import numpy as np
import pytest

from embedwell.core.embedded import Embedded
from embedwell.ingest.prepare import Prepared
from embedwell.jobs.work.group import Group
from embedwell.jobs.work.prepare import Ready
from embedwell.stores.protocol import Document, Stat, StoredChunk
from embedwell.stores.queue import Item, Outcome, Task, Times
from embedwell.testing import FAKE_BUILD

WIDTH = 4


def row(number, *texts, status="done"):
    task = Task(number, 1, 1, Item(f"{number}.md", "markdown", 9, 9), 1, 0, "", "me")
    chunks = [StoredChunk(0, len(text), 1, 1, "", text, f"hash of {text}") for text in texts]
    document = Document(f"{number}.md", 9, 9, "", "text", "markdown")
    outcome = Outcome(task, status, n_chunks=len(chunks), times=Times(read_s=0.5))
    return Ready(outcome, Prepared(document, chunks, texts))


def vectors(*numbers):
    return np.full((len(numbers), WIDTH), np.array(numbers, np.float32)[:, None])


def embed(group, *numbers, failures=None, took_s=3.0):
    tokens = np.arange(len(numbers)) + 10
    group.embedded(Embedded(vectors(*numbers), tokens, 0, FAKE_BUILD), failures or {}, took_s)


def test_a_text_that_several_documents_have_is_embedded_once():
    group = Group([row(1, "same", "one"), row(2, "same")])
    group.look_up({}, frozenset())
    assert list(group.new.values()) == ["same", "one"]
    embed(group, 1, 2)
    first, second = group.documents(WIDTH)
    np.testing.assert_array_equal(first.vectors, vectors(1, 2))
    np.testing.assert_array_equal(second.vectors, vectors(1))
    assert group.n_embedded == 2


def test_what_is_stored_or_promised_is_not_embedded():
    earlier, later = Group([row(1, "promised")]), Group([row(2, "stored", "promised", "new")])
    earlier.look_up({}, frozenset())
    later.look_up({"hash of stored": vectors(7)[0]}, frozenset(earlier.new))
    assert list(later.new.values()) == ["new"]
    embed(earlier, 5)
    earlier.lend([later])
    embed(later, 6)
    np.testing.assert_array_equal(later.documents(WIDTH)[0].vectors, vectors(7, 5, 6))


def test_each_row_has_its_share_of_the_time_and_its_tokens():
    group = Group([row(1, "a", "b"), row(2, "c")])
    group.look_up({}, frozenset())
    embed(group, 1, 2, 3, took_s=3.0)
    first, second = group.outcomes()
    assert (first.times.embed_s, second.times.embed_s) == pytest.approx((2.0, 1.0))
    assert (first.n_tokens, second.n_tokens) == (21, 12)
    assert first.times.read_s == 0.5


def test_a_text_that_cannot_be_embedded_fails_its_document_in_every_group():
    group, later = Group([row(1, "good"), row(2, "good", "bad")]), Group([row(3, "bad")])
    group.look_up({}, frozenset())
    later.look_up({}, frozenset(group.new))
    embed(group, 1, 2, failures={1: "too odd"})
    group.lend([later])
    done, failed = group.outcomes()
    assert (done.status, failed.status, failed.n_chunks) == ("done", "failed", 0)
    assert failed.error == "passage 2 of 2: too odd"
    assert [len(item.chunks) for item in group.documents(WIDTH)] == [1, 0]
    assert later.outcomes()[0].status == "failed"


def test_rows_without_a_document_keep_what_became_of_them():
    skipped = Outcome(row(1).outcome.task, "skipped", "has the bytes that are stored")
    group = Group([Ready(skipped, stat=Stat(1, 1)), row(2, status="failed")])
    group.look_up({}, frozenset())
    assert [one.status for one in group.outcomes()] == ["skipped", "failed"]
    assert [item.document.key for item in group.documents(WIDTH)] == ["2.md"]
