"""Text, code or both, from a service that never blocks the event loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import embedwell
from embedwell import DualEmbeddingService, DualEmbeddingServiceAdapter, EmbeddingDomain
from embedwell.app.embedding.dual import CODE_MODEL, TEXT_MODEL
from embedwell.core.errors import (
    CodeMemoryError,
    SettingsError,
    TaskCancelledError,
    UnknownModelError,
    WrongTaskError,
)
from embedwell.models.known import Known
from embedwell.testing import FakeEmbedder


class Models:
    """Makes fakes of the right spaces, and remembers which."""

    def __init__(self) -> None:
        self.made: list[FakeEmbedder] = []
        self.pause_s = 0.0
        self.fault: Exception | None = None

    @property
    def names(self):
        return [one.space.model for one in self.made]

    def connect(self, settings, watch):
        if self.fault and settings.model == settings.code_model:
            raise self.fault
        self.made.append(Slow(Known(settings.cache).card(settings.model).space, self.pause_s))
        return self.made[-1]


class Slow(FakeEmbedder):
    def __init__(self, space, pause_s):
        super().__init__(space)
        self.pause_s = pause_s
        self.threads = set()
        self.stopped = threading.Event()

    def embed(self, texts, kind, watch):
        self.threads.add(threading.current_thread())
        if watch.cancelled.wait(self.pause_s):
            self.stopped.set()
            raise TaskCancelledError("embed")
        return super().embed(texts, kind, watch)


@pytest.fixture
def models():
    return Models()


@pytest.fixture
def service(models):
    made = DualEmbeddingService(connect=models.connect)
    yield made
    made.close()


def test_the_default_pair_has_768_dimensions_each(service, models):
    found = asyncio.run(service.generate_embedding("retry", EmbeddingDomain.HYBRID))
    assert set(found) == {"text", "code"}
    assert len(found["text"]) == len(found["code"]) == 768
    assert sorted(models.names) == sorted([TEXT_MODEL, CODE_MODEL])
    assert all(isinstance(value, float) for value in found["text"])


def test_each_model_is_loaded_when_it_is_first_needed(service, models):
    assert models.names == []
    stats = service.get_stats()
    assert stats["models"]["text"] == {"name": TEXT_MODEL, "loaded": False}
    assert set(asyncio.run(service.generate_embedding("words"))) == {"text"}
    assert models.names == [TEXT_MODEL]
    found = asyncio.run(service.generate_embedding("def f(): ...", EmbeddingDomain.CODE))
    assert set(found) == {"code"}
    assert models.names == [TEXT_MODEL, CODE_MODEL]
    assert service.get_stats()["models"]["code"] == {"name": CODE_MODEL, "loaded": True}


def test_a_domain_may_be_named_by_its_value(service):
    assert set(asyncio.run(service.generate_embedding("retry", "hybrid"))) == {"text", "code"}
    adapter = DualEmbeddingServiceAdapter(service, "code")
    assert len(asyncio.run(adapter.generate_embedding("retry"))) == 768
    with pytest.raises(ValueError, match="'prose' is not a valid EmbeddingDomain"):
        asyncio.run(service.generate_embedding("retry", "prose"))
    with pytest.raises(ValueError, match="two vectors"):
        DualEmbeddingServiceAdapter(service, "hybrid")


def test_the_old_protocol_gets_the_vector_alone(service, models):
    old = asyncio.run(service.generate_embedding_legacy("words"))
    assert old == asyncio.run(service.generate_embedding("words"))["text"]
    adapter = DualEmbeddingServiceAdapter(service)
    assert asyncio.run(adapter.generate_embedding("words")) == old
    coder = DualEmbeddingServiceAdapter(service, EmbeddingDomain.CODE)
    assert len(asyncio.run(coder.generate_embedding("words"))) == 768
    assert models.names == [TEXT_MODEL, CODE_MODEL]
    with pytest.raises(ValueError, match="two vectors"):
        DualEmbeddingServiceAdapter(service, EmbeddingDomain.HYBRID)


def test_many_texts_come_back_in_their_order(service):
    found = asyncio.run(service.generate_embeddings(["one", "two"], EmbeddingDomain.HYBRID))
    assert found[1] == asyncio.run(service.generate_embedding("two", EmbeddingDomain.HYBRID))
    assert asyncio.run(service.generate_embeddings([], EmbeddingDomain.HYBRID)) == []


def test_memory_is_told_as_the_monitoring_route_does(service):
    used = service.get_ram_usage_mb()
    assert used["process_rss_mb"] > 1
    assert used["estimated_models_mb"] == 0
    assert set(service.get_stats()["ram"]) == {
        "process_rss_mb",
        "estimated_models_mb",
        "budget_exceeded",
        "budget_mb",
        "warning_mb",
        "limit_mb",
    }


def test_the_event_loop_goes_on_and_both_models_work_at_once(service, models):
    models.pause_s = 0.2

    async def run():
        ticks = 0
        task = asyncio.create_task(service.generate_embedding("x", EmbeddingDomain.HYBRID))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        await task
        return ticks

    assert asyncio.run(run()) > 2
    threads = [thread for model in models.made for thread in model.threads]
    assert len(set(threads)) == 2
    assert threading.main_thread() not in threads


def test_who_is_cancelled_stops_the_model(service, models):
    models.pause_s = 60.0

    async def run():
        task = asyncio.create_task(service.generate_embedding("x"))
        while not (models.made and models.made[0].threads):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        began = time.monotonic()
        await asyncio.to_thread(models.made[0].stopped.wait, 30)
        return time.monotonic() - began

    assert asyncio.run(run()) < 30


def test_text_goes_on_where_the_code_model_is_not_loaded(service, models):
    models.fault = CodeMemoryError("This process has 950 MB.", "Raise the limit.")
    with pytest.raises(CodeMemoryError):
        asyncio.run(service.generate_embedding("x", EmbeddingDomain.CODE))
    assert len(asyncio.run(service.generate_embedding("x"))["text"]) == 768
    models.fault = None
    assert asyncio.run(service.generate_embedding("x", EmbeddingDomain.CODE))["code"]


def test_settings_and_common_variables_name_the_models(models, monkeypatch):
    monkeypatch.setenv("EMBEDDING_MODEL", "all-MiniLM-L6-v2")
    monkeypatch.setenv("CODE_EMBEDDING_MODEL", "all-mpnet-base-v2")
    service = DualEmbeddingService(connect=models.connect)
    names = {key: one["name"] for key, one in service.get_stats()["models"].items()}
    assert names == {"text": "all-MiniLM-L6-v2", "code": "all-mpnet-base-v2"}
    found = asyncio.run(service.generate_embedding("x", EmbeddingDomain.HYBRID))
    assert (len(found["text"]), len(found["code"])) == (384, 768)
    named = DualEmbeddingService("nomic-embed-text-v1.5:256", connect=models.connect)
    assert len(asyncio.run(named.generate_embedding("x"))["text"]) == 256


def test_lengths_that_differ_are_refused_before_anything_is_loaded(models, monkeypatch):
    monkeypatch.setenv("EMBEDDING_DIMENSION", "768")
    monkeypatch.setenv("CODE_EMBEDDING_DIMENSION", "384")
    with pytest.raises(SettingsError, match="migration"):
        DualEmbeddingService(connect=models.connect)
    monkeypatch.delenv("CODE_EMBEDDING_DIMENSION")
    with pytest.raises(UnknownModelError):
        DualEmbeddingService("no-such-model", connect=models.connect)


def test_what_is_not_meant_is_refused(service):
    with pytest.raises(ValueError, match="no kind 'code' of text"):
        asyncio.run(service.generate_embedding("x", kind="code"))
    with pytest.raises(TypeError, match="takes a list"):
        asyncio.run(service.generate_embeddings("a text"))


def test_the_default_pair_is_taken_where_a_model_is_to_be_chosen(models, monkeypatch):
    monkeypatch.setenv("EMBEDDING_MODEL", "auto")
    named = DualEmbeddingService(connect=models.connect).get_stats()["models"]
    assert (named["text"]["name"], named["code"]["name"]) == (TEXT_MODEL, CODE_MODEL)


def test_a_model_that_reranks_is_refused_at_once(models):
    with pytest.raises(WrongTaskError):
        DualEmbeddingService(code_model="ms-marco-MiniLM-L6-v2", connect=models.connect)


def test_it_closes_with_its_block(models):
    async def run():
        async with DualEmbeddingService(connect=models.connect) as service:
            await service.generate_embedding("x")
        with pytest.raises(embedwell.EmbedwellError, match="closed"):
            await service.generate_embedding("x")

    asyncio.run(run())


def test_a_process_that_is_large_keeps_to_text(real_cache, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CODE_MEMORY_LIMIT_MB", "1")
    service = DualEmbeddingService("all-mpnet-base-v2", "all-MiniLM-L6-v2")
    with pytest.raises(CodeMemoryError, match="from 1 MB it stays with the text model"):
        asyncio.run(service.generate_embedding("x", EmbeddingDomain.CODE))
    service.close()
    only = DualEmbeddingService("all-MiniLM-L6-v2", "all-MiniLM-L6-v2@q8")
    assert len(asyncio.run(only.generate_embedding("x"))["text"]) == 384
    assert only.get_ram_usage_mb()["estimated_models_mb"] > 1
    only.close()
