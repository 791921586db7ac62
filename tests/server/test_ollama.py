"""The unmodified `ollama` client against the service."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import ollama
import pytest
from listening import PullingRuntime, listening
from serving import MODEL, free_port, serving, short_folder, wait_until

from embedwell.app.config.settings import Settings
from embedwell.core.artifact import Artifact
from embedwell.core.errors import (
    BadRequestError,
    ModelUnavailableError,
    PressureError,
    ServiceBusyError,
)
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import card
from embedwell.runtime.states import ModelState
from embedwell.server.compatible.keep_alive import seconds
from embedwell.server.compatible.ollama_models import _readable, _running, _shown, _tag

TEXTS = ["a short text", "", "bonjour à tous", "word " * 400]


@pytest.fixture
def runtime():
    return PullingRuntime()


@pytest.fixture
def url(runtime):
    with listening(runtime) as base:
        yield base


@pytest.fixture
def client(url):
    with ollama.Client(url) as made:
        yield made


@pytest.fixture
def real(service):
    with ollama.Client(service.base_url) as made:
        yield made


@pytest.fixture
def ours(real_cache):
    import embedwell

    with embedwell.Embedder() as embedder, pytest.warns(embedwell.TruncationWarning):
        return embedder.embed(TEXTS)


def test_the_client_gets_the_librarys_vectors(real, ours):
    answer = real.embed("all-minilm", TEXTS)
    assert np.abs(np.array(answer.embeddings) - ours).max() < 1e-6
    assert answer.model == "all-minilm"
    assert 256 < answer.prompt_eval_count < 300
    assert 0 < answer.load_duration < answer.total_duration < 60e9


def test_the_older_route_gives_one_vector(real, ours):
    answer = real.embeddings("all-minilm:latest", TEXTS[2])
    assert np.abs(np.array(answer.embedding) - ours[2]).max() < 1e-6


def test_the_async_client_gets_the_same(service, ours):
    async def ask():
        async with ollama.AsyncClient(service.base_url) as client:
            asked = [client.embed(f"{MODEL}:q8", [text]) for text in TEXTS]
            return await asyncio.gather(*asked)

    found = [answer.embeddings[0] for answer in asyncio.run(ask())]
    assert np.abs(np.array(found) - ours).max() < 1e-6


def test_what_is_here_is_listed_and_shown(real):
    listed = {model.model: model for model in real.list().models}
    assert {f"{MODEL}:q8", f"{MODEL}:latest", "all-minilm:latest"} <= set(listed)
    found = listed["all-minilm:latest"]
    assert found.size > 20_000_000
    assert len(found.digest) == 64
    assert found.details.quantization_level == "Q8"
    assert found.details.parameter_size == "23M"
    shown = real.show("all-minilm")
    assert shown.capabilities == ["embedding"]
    assert shown.modelinfo["bert.embedding_length"] == 384
    assert shown.modelinfo["bert.context_length"] == 256
    assert shown.license == "Apache-2.0"


def test_a_model_that_reranks_is_not_told_as_one_of_vectors(tmp_path):
    space = card("ms-marco-MiniLM-L6-v2").space
    kept = Artifact(space, "q8", "onnx", tmp_path, "k", "", "", 23_000_000, head="rerank")
    model = card("ms-marco-MiniLM-L6-v2")
    assert _tag("ms-marco", model, kept).capabilities == ["rerank"]
    assert _shown(model, kept).capabilities == ["rerank"]


def test_what_cannot_be_named_here_is_left_out_of_the_lists(fake_service, monkeypatch, tmp_path):
    known, other = card(MODEL).space, replace(card(MODEL).space, model="of-a-newer-version")
    kept = [Artifact(space, "q8", "onnx", tmp_path, "k", "", "", 1) for space in (other, known)]
    monkeypatch.setattr(ArtifactStore, "list", lambda _: kept)
    tags = [tag["name"] for tag in fake_service.get("/api/tags").json()["models"]]
    assert f"{MODEL}:q8" in tags
    assert not [name for name in tags if "newer" in name]
    models = [model["id"] for model in fake_service.get("/v1/models").json()["data"]]
    assert f"{MODEL}@q8" in models
    assert "of-a-newer-version@q8" not in models


def test_what_is_loaded_is_listed_with_its_end(real):
    real.embed("all-minilm", "a")
    found = next(model for model in real.ps().models if model.name == f"{MODEL}:q8")
    assert found.size > 20_000_000
    assert found.size_vram == 0
    assert found.expires_at > datetime.now(UTC)
    assert found.context_length == 256


def test_pulling_what_is_here_ends_at_once(real):
    assert real.pull("all-minilm").status == "success"
    steps = [step.status for step in real.pull("all-minilm", stream=True)]
    assert (steps[0], steps[-1]) == ("pulling manifest", "success")


def test_a_model_is_pulled_and_converted_outside_of_the_service(real_source):
    with short_folder() as place:
        files = place / "files"
        files.mkdir()
        for name, path in real_source.paths.items():
            (files / name).symlink_to(path)
        settings = Settings(cache=place / "cache", socket=place / "s", port=free_port())
        environment = {"EMBEDWELL_MODEL_FILES": str(files)}
        with (
            serving(settings, environment=environment) as running,
            ollama.Client(running.base_url) as client,
        ):
            with pytest.raises(ollama.ResponseError, match="not found") as caught:
                client.show("all-minilm")
            assert caught.value.status_code == 404
            assert not client.list().models
            steps = list(client.pull("all-minilm", stream=True))
            maps = Path(f"/proc/{running.process.pid}/maps")
            if maps.exists():  # on Linux: what the process has loaded
                assert "onnx_cpp2py" not in maps.read_text()
            assert client.show("all-minilm").capabilities == ["embedding"]
            assert len(client.embed("all-minilm", "a").embeddings[0]) == 384
    statuses = [step.status for step in steps]
    assert statuses[0] == "pulling manifest"
    assert statuses[-2:] == ["writing manifest", "success"]
    assert "convert" in statuses
    assert "verifying sha256 digest" in statuses


def test_steps_of_a_pull_are_in_ollamas_words(client):
    steps = list(client.pull(MODEL, stream=True))
    digest = card(MODEL).files["model.safetensors"].sha256
    first, last = steps[1], [step for step in steps if step.digest][-1]
    assert first.status == f"pulling {digest[:12]}"
    assert (last.digest, last.completed, last.total) == (f"sha256:{digest}", 100, 100)
    assert [steps[0].status, *(step.status for step in steps[-2:])] == [
        "pulling manifest",
        "writing manifest",
        "success",
    ]
    assert client.pull(MODEL).status == "success"


def test_a_pull_that_fails_says_why(runtime, client):
    runtime.pull_fault = ModelUnavailableError("No mirror has it.", "Connect to the hub.")
    with pytest.raises(ollama.ResponseError, match=r"No mirror has it\. Connect"):
        list(client.pull(MODEL, stream=True))
    with pytest.raises(ollama.ResponseError, match="No mirror has it"):
        client.pull(MODEL)


def test_an_unknown_model_is_not_found(client):
    for ask in (
        lambda: client.embed("llama3", "a"),
        lambda: client.embeddings("llama3", "a"),
        lambda: client.show("llama3"),
        lambda: client.pull("llama3"),
        lambda: list(client.pull("llama3", stream=True)),
    ):
        with pytest.raises(ollama.ResponseError, match="model 'llama3' not found") as caught:
            ask()
        assert caught.value.status_code == 404


def test_a_long_text_is_cut_unless_that_is_forbidden(client):
    assert len(client.embed(MODEL, "w " * 300).embeddings) == 1
    assert len(client.embed(MODEL, "w " * 300, truncate=True).embeddings) == 1
    with pytest.raises(ollama.ResponseError, match="exceeds the context length") as caught:
        client.embed(MODEL, ["a", "w " * 300], truncate=False)
    assert caught.value.status_code == 400
    assert len(client.embed(MODEL, ["a"], truncate=False).embeddings) == 1


def test_no_text_only_loads(runtime, client):
    assert client.embed(MODEL, "").embeddings == []
    assert client.embed(MODEL, []).embeddings == []
    assert client.embeddings(MODEL, "").embedding == []
    assert list(runtime.held) == [MODEL]
    assert len(client.embed(MODEL, [""]).embeddings) == 1


def test_lengths_that_the_model_does_not_have_are_refused(client):
    assert len(client.embed(MODEL, "a", dimensions=1000).embeddings[0]) == 384
    assert len(client.embed(MODEL, "a", dimensions=0).embeddings[0]) == 384
    with pytest.raises(ollama.ResponseError, match="100"):
        client.embed(MODEL, "a", dimensions=100)


@pytest.mark.parametrize(("given", "kept_s"), [("5m", 300), (90, 90), (-1, 0), ("-1s", 0)])
def test_keep_alive_says_how_long_a_model_stays(runtime, client, given, kept_s):
    client.embed(MODEL, "a")
    assert runtime.kept == {}
    client.embed(MODEL, "a", keep_alive=given)
    assert runtime.kept == {MODEL: kept_s}
    assert list(runtime.held) == [MODEL]


def test_keep_alive_of_nothing_unloads_what_is_not_pinned(runtime, client):
    client.embed(MODEL, "a", keep_alive=0)
    assert runtime.held == {}
    with pytest.raises(ollama.ResponseError):
        client.embed(MODEL, "w " * 300, truncate=False, keep_alive="0s")
    assert runtime.held == {}
    embed = runtime.embed

    def embed_pinned(model, texts, kind, watch):
        found = embed(model, texts, kind, watch)
        runtime.load(model, watch, pinned=True)
        return found

    runtime.embed = embed_pinned
    client.embeddings(MODEL, "a", keep_alive=0)
    assert list(runtime.held) == [MODEL]


def test_keep_alive_that_is_no_duration_is_refused(client):
    for ask in (client.embed, client.embeddings):
        with pytest.raises(ollama.ResponseError, match="no duration") as caught:
            ask(MODEL, "a", keep_alive="soon")
        assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("given", "expected_s"),
    [
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("0", 0),
        ("-5m", -300),
        (2.5, 2.5),
        (-1, -1),
    ],
)
def test_durations_are_read_as_go_writes_them(given, expected_s):
    assert seconds(given) == pytest.approx(expected_s)


@pytest.mark.parametrize("given", ["", "5", "m", "5 m", "5d", "nan"])
def test_other_words_are_no_durations(given):
    with pytest.raises(BadRequestError):
        seconds(given)


@pytest.mark.parametrize(
    ("fault", "status"),
    [(ServiceBusyError("Full.", "Wait."), 429), (PressureError("Full.", "Wait."), 503)],
)
def test_a_service_that_cannot_now_says_so(runtime, client, fault, status):
    runtime.fault = fault
    with pytest.raises(ollama.ResponseError, match=r"Full\. Wait\.") as caught:
        client.embed(MODEL, "a")
    assert caught.value.status_code == status


def test_a_key_is_sent_as_a_header():
    with listening(PullingRuntime(Settings(api_key="right"))) as base:
        with ollama.Client(base) as client, pytest.raises(ollama.ResponseError) as caught:
            client.list()
        assert caught.value.status_code == 401
        with ollama.Client(base, headers={"Authorization": "Bearer right"}) as client:
            assert client.embed(MODEL, "a").embeddings


def test_a_client_that_leaves_stops_its_pull(runtime, url):
    begun, stopped = [], []

    def pull(model: str, watch: Watch):
        begun.append(model)
        while not watch.cancelled.wait(0.01):
            watch.progress("download", 1, 100, "bytes")
        stopped.append(model)
        watch.check("download")

    runtime.pull = pull
    with ollama.Client(url) as client:
        steps = client.pull(MODEL, stream=True)
        assert next(steps).status == "pulling manifest"
        assert next(steps).total == 100
        steps.close()
    wait_until(lambda: stopped)
    assert begun == stopped


def test_the_version_is_embedwells(url):
    import embedwell

    with urllib.request.urlopen(f"{url}/api/version") as answer:
        assert json.load(answer) == {"version": embedwell.__version__}


def test_a_model_that_idles_out_says_when(runtime):
    runtime.load(MODEL, Watch())
    artifact = runtime.states()[0].artifact
    left = _running(card(MODEL), ModelState(artifact, "loaded", 1, unloads_in_s=60)).expires_at
    assert timedelta(seconds=50) < left - datetime.now(UTC) <= timedelta(seconds=60)
    assert _running(card(MODEL), ModelState(artifact, "loaded", 1)).expires_at.year == 2262


def test_large_models_are_counted_in_billions():
    assert [_readable(n) for n in (22_713_216, 1_500_000_000)] == ["23M", "1.5B"]
