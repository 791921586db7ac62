from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.embedding.shared import shared_embedder
from embedwell.core.errors import (
    CodeMemoryError,
    EmbeddingsOffError,
    EngineError,
    OverBudgetError,
    UnknownModelError,
)
from embedwell.core.events import Watch

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture
def settings(real_cache, tmp_path):
    return Settings(cache=real_cache, threads=1, service="off")


@pytest.fixture
def events():
    return []


@pytest.fixture
def runtime(settings, events):
    made = Runtime(settings, events.append)
    yield made
    made.close()


def kinds(events):
    return [event.kind for event in events if event.kind in {"loaded", "unloaded"}]


def test_a_model_is_embedded_with_and_what_it_takes_is_told(runtime):
    found = runtime.embed(MODEL, ["one", "two"], "document", Watch())
    assert found.artifact == f"{MODEL}@q8"
    memory = runtime.memory()
    assert 0 < memory.models_bytes < memory.rss_bytes < memory.budget_bytes
    assert memory.pressure.level in {"low", "medium", "high", "critical"}


def test_the_last_handle_of_a_model_that_closes_unloads_it(runtime, events):
    first, second = runtime.embedder(MODEL), runtime.embedder(MODEL)
    first.embed(["one"], "query", Watch())
    first.close()
    first.close()
    assert kinds(events) == ["loaded"]
    second.close()
    assert kinds(events) == ["loaded", "unloaded"]
    assert events[-1].detail["reason"] == "closed"


def test_a_closed_handle_says_so(runtime):
    embedder = runtime.embedder(MODEL)
    embedder.close()
    for use in (
        lambda: embedder.embed(["one"], "query", Watch()),
        lambda: embedder.token_starts("one"),
        embedder.check_idle,
    ):
        with pytest.raises(EngineError, match="closed"):
            use()
    assert embedder.space.dimensions == 384


def test_a_pinned_model_stays_when_its_handles_close(runtime, events):
    runtime.load(MODEL, Watch(), pinned=True)
    runtime.embedder(MODEL).close()
    assert kinds(events) == ["loaded"]
    assert runtime.unload(MODEL)


def test_embedders_with_equal_settings_share_one_load(settings):
    first_events, second_events, made = [], [], []
    first = shared_embedder(settings, MODEL, Watch(), first_events.append)
    threads = [
        threading.Thread(
            target=lambda: made.append(
                shared_embedder(settings, MODEL, Watch(), second_events.append)
            )
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.embed(["one"], "query", Watch()).vectors.shape == (1, 384)
    first.close()
    first.close()
    assert made[0].embed(["two"], "query", Watch()).vectors.shape == (1, 384)
    for embedder in made:
        embedder.close()
    assert kinds(first_events) == ["loaded"]
    assert kinds(second_events) == ["unloaded"]


def test_an_embedder_that_is_dropped_without_closing_it_is_let_go(settings):
    from embedwell.app.embedding import shared

    embedder = shared_embedder(settings, MODEL, Watch())
    assert len(shared._shared) == 1
    del embedder
    gc.collect()
    for _ in range(400):
        if not shared._shared:
            break
        time.sleep(0.01)
    assert not shared._shared


def test_a_shared_model_that_cannot_be_had_leaves_nothing_open(settings):
    from embedwell.app.embedding import shared

    with pytest.raises(UnknownModelError):
        shared_embedder(settings, "no-such-model", Watch())
    assert not shared._shared


def test_a_budget_too_small_is_refused_with_what_would_help(real_cache):
    runtime = Runtime(Settings(cache=real_cache, memory_budget="40MiB"))
    with pytest.raises(OverBudgetError, match="the memory budget is 42 MB") as caught:
        runtime.load(MODEL, Watch())
    assert "memory_budget" in caught.value.remedy


def test_only_quantizations_that_agree_stand_in_for_another(runtime, real_artifact):
    lower = runtime._lower(real_artifact("q32"))
    assert lower is not None
    assert lower.name == f"{MODEL}@q16"
    assert runtime._lower(real_artifact("q8")) is None


def test_embeddings_that_are_off_load_nothing(real_cache):
    runtime = Runtime(Settings(cache=real_cache, embeddings=False))
    with pytest.raises(EmbeddingsOffError):
        runtime.load(MODEL, Watch())


def test_the_machines_profile_gives_the_limits_and_settings_replace_them(real_cache):
    limits = Runtime(Settings(cache=real_cache, memory_budget="1600MiB"))._models.limits
    assert (limits.n_models, limits.idle_s) == (1, 60.0)
    own = Settings(cache=real_cache, memory_budget="1600MiB", models_at_once=7, idle_s=0)
    limits = Runtime(own)._models.limits
    assert (limits.n_models, limits.idle_s) == (7, 0)


def test_another_engine_computes_the_same_vectors_and_says_so(settings):
    texts = ["one", "a longer text than that one"]
    found = {}
    for engine in ("onnx", "openvino"):
        runtime = Runtime(structs.replace(settings, engine=engine))
        found[engine] = runtime.embed(f"{MODEL}@q32", texts, "document", Watch())
        runtime.close()
        assert found[engine].build.engine == engine
    np.testing.assert_allclose(found["openvino"].vectors, found["onnx"].vectors, atol=1e-4)
    assert found["openvino"].build.key != found["onnx"].build.key


def test_only_what_the_engine_runs_stands_in_for_another(settings, real_artifact):
    runtime = Runtime(structs.replace(settings, engine="openvino"))
    artifact = replace(real_artifact("q16"), engine="openvino")
    assert runtime._lower(artifact) is None
    assert runtime._lower(replace(artifact, engine="onnx")) is not None


def test_a_large_process_does_not_load_the_code_model(settings, caplog):
    small = structs.replace(settings, code_model=MODEL, code_memory_limit_mb=1)
    refusing = Runtime(small)
    for use in (
        lambda: refusing.embed(MODEL, ["one"], "query", Watch()),
        lambda: refusing.token_starts(f"{MODEL}@q8", "one"),
        lambda: refusing.load(MODEL, Watch()),
    ):
        with pytest.raises(CodeMemoryError, match=r"this process has \d+ MB, and from 1 MB"):
            use()
    assert caplog.messages[0].startswith(f"The code model {MODEL}@q8 is not loaded")
    assert not refusing.unload(MODEL)
    roomy = Runtime(structs.replace(small, code_memory_limit_mb=100_000))
    assert roomy.embed(MODEL, ["one"], "query", Watch()).vectors.shape == (1, 384)
    roomy.close()


def test_a_model_that_an_index_has_for_code_is_limited_as_the_one_of_the_settings(settings):
    runtime = Runtime(structs.replace(settings, code_memory_limit_mb=1))
    embedder = runtime.embedder(MODEL, of_code=True)
    with pytest.raises(CodeMemoryError, match="from 1 MB"):
        embedder.embed(["one"], "query", Watch())


def test_a_code_model_that_nobody_has_looked_at_leaves_text_alone(settings):
    runtime = Runtime(structs.replace(settings, code_model="hf:nobody/nothing"))
    assert runtime.embed(MODEL, ["one"], "query", Watch()).vectors.shape == (1, 384)
    runtime.close()
