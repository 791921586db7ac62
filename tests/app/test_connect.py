"""The library beside a real service: it is used, lost, found again, required, and started."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
from serving import serving, wait_until
from tiny_reranker import tiny_reranker_source

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.connect import address, model_name, sign_of_service
from embedwell.app.embedding.launch import LOG, ensure_service
from embedwell.core.errors import (
    EmbeddingsOffError,
    EmbedwellError,
    ServiceGoneError,
    ServiceStartError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.engines.http import HttpEngine

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

TEXTS = ["a first text", "et un second"]


@pytest.fixture
def settings(real_cache, short, monkeypatch):
    """Where a service of this test's own would listen; `service = auto`."""
    monkeypatch.setenv("EMBEDWELL_SOCKET", str(short / "s"))
    monkeypatch.setenv("EMBEDWELL_SERVICE", "auto")
    monkeypatch.setenv("EMBEDWELL_THREADS", "1")
    return Settings(cache=real_cache, socket=short / "s", port=0)


@pytest.fixture
def expected(real_cache):
    with embedwell.Embedder(threads=1) as embedder:
        return embedder.embed(TEXTS)


def same(found, expected):
    return np.abs(found - expected).max() < 1e-5


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_process_that_uses_the_service_loads_no_engine(expected, settings):
    code = (
        "import embedwell, json, sys\n"
        f"found = embedwell.Embedder().embed({TEXTS!r})\n"
        "print(json.dumps(found.tolist())); print(json.dumps(sorted(sys.modules)))"
    )
    with serving(settings):
        vectors, modules = run(code)
    assert same(np.array(json.loads(vectors)), expected)
    heavy = {"onnxruntime", "tokenizers", "psutil", "http.client", "ssl", "onnx", "starlette"}
    assert not heavy.intersection(json.loads(modules))


def test_a_lost_service_is_replaced_and_found_again(expected, settings, caplog):
    with serving(settings) as service:
        embedder = embedwell.Embedder()
        assert same(embedder.embed(TEXTS), expected)
        service.stop(signal.SIGKILL)
        assert settings.socket.exists()
        with caplog.at_level(logging.WARNING):
            assert same(embedder.embed(TEXTS), expected)
            assert same(embedder.embed(TEXTS), expected)
    assert len([r for r in caplog.records if "goes on in this process" in r.message]) == 1
    with serving(settings) as service:
        assert same(embedder.embed(TEXTS), expected)
        assert embedder._inner._local is None
        embedder.close()


def test_a_service_that_starts_later_is_used(expected, settings):
    with embedwell.Embedder() as embedder:
        assert same(embedder.embed(TEXTS), expected)
        assert embedder._inner._local is not None
        with serving(settings):
            assert same(embedder.embed(TEXTS), expected)
            assert embedder._inner._local is None
        assert same(embedder.embed(TEXTS), expected)


def test_a_socket_that_was_left_behind_is_no_service(expected, settings, caplog):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(settings.socket))
    with embedwell.Embedder() as embedder:
        assert same(embedder.embed(TEXTS), expected)
    assert not caplog.records


def test_a_required_service_must_be_there_and_may_come_back(settings, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_SERVICE", "require")
    with pytest.raises(ServiceGoneError, match="the settings require it"):
        embedwell.Embedder()
    with serving(settings) as service:
        embedder = embedwell.Embedder()
        embedder.embed(TEXTS)
        service.stop(signal.SIGKILL)
        with pytest.raises(ServiceGoneError):
            embedder.embed(TEXTS)
    with serving(settings):
        assert embedder.embed(TEXTS).shape == (2, 384)
        embedder.close()


def test_killing_the_service_among_many_requests_loses_none(expected, settings):
    found = []
    with serving(settings) as service:
        embedder = embedwell.Embedder()

        def ask():
            found.extend(embedder.embed([f"{number}", *TEXTS])[1:] for number in range(25))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(found) > 5 or not any(t.is_alive() for t in threads))
        service.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        embedder.close()
    assert len(found) == 100
    assert all(same(vectors, expected) for vectors in found)


def test_a_forked_child_has_connections_of_its_own(settings):
    code = (
        "import embedwell, os\n"
        "embedder = embedwell.Embedder(); embedder.embed(['parent'])\n"
        "child = os.fork()\n"
        "for _ in range(20): embedder.embed(['both'])\n"
        "if child: print(os.waitpid(child, 0)[1])\n"
        "else: os._exit(0)"
    )
    with serving(settings):
        assert run(code) == ["0"]


def test_an_index_is_filled_and_searched_through_the_service(settings, tmp_path):
    (tmp_path / "disk.md").write_text("# Disks\n\nPull the drive whose lamp blinks.\n")
    (tmp_path / "pain.md").write_text("# Le pain\n\nIl fait trop froid.\n")
    with serving(settings), embedwell.open(tmp_path) as index:
        assert index.add_folder().n_added == 2
        assert index.search("replace a hard disk", k=1).results[0].chunk.key == "disk.md"


def test_a_file_that_is_no_socket_is_no_service(settings):
    settings.socket.write_text("")
    assert sign_of_service(settings) is None


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_socket_of_somebody_else_is_no_service(settings):
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(settings.socket))
        assert sign_of_service(settings) is not None
        os.chown(settings.socket, 12345, -1)
        assert sign_of_service(settings) is None


def test_without_unix_sockets_the_port_is_asked(settings, monkeypatch):
    monkeypatch.setattr("embedwell.app.embedding.connect.HAS_UNIX_SOCKETS", False)
    place = address(Settings(port=1234, api_key="key"))
    assert (place.socket, place.port, place.api_key) == (None, 1234, "key")
    assert sign_of_service(Settings(port=1234)) == (1234,)
    assert sign_of_service(Settings(port=0)) is None


def test_switched_off_is_off_with_a_service_too(settings, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_EMBEDDINGS", "false")
    with pytest.raises(EmbeddingsOffError):
        embedwell.Embedder()


def test_a_closed_embedder_says_so(real_cache):
    embedder = embedwell.Embedder()
    assert embedder.check_idle() is False
    embedder.close()
    embedder.close()
    with pytest.raises(EmbedwellError, match="closed"):
        embedder.embed(["text"])
    assert embedder.space.dimensions == 384


def test_the_embedders_of_a_process_share_one_load(real_cache):
    events = []
    first = embedwell.Embedder(threads=1, on_event=events.append)
    second = embedwell.Embedder(threads=1, on_event=events.append)
    first.close()
    assert second.embed(TEXTS).shape == (2, 384)
    second.close()
    kinds = [event.kind for event in events]
    assert kinds.count("loaded") == 1
    assert "unloaded" in kinds


def test_events_of_this_process_are_told(real_cache):
    events = []
    with embedwell.Embedder(on_event=events.append) as embedder:
        embedder.embed(["text"])
    assert all(isinstance(event, embedwell.Event) for event in events)


def started_for(settings):
    """Our children that serve these settings; other tests may have services of their own."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it ends while it is looked at
            if child.environ().get("EMBEDWELL_SOCKET") == str(settings.socket):
                found.append(child)
    return found


@contextmanager
def on_demand(settings):
    """Services started below here are stopped again."""
    try:
        yield
    finally:
        for child in started_for(settings):
            child.terminate()
        with suppress(OSError):
            wait_until(lambda: not settings.socket.exists())


@pytest.fixture
def own_cache(settings, short, real_cache, monkeypatch):
    """A cache of this test's own that holds the real model, as the service's log goes there."""
    cache = short / "cache"
    cache.mkdir()
    (cache / "artifacts").symlink_to(real_cache / "artifacts")
    monkeypatch.setenv("EMBEDWELL_CACHE", str(cache))
    monkeypatch.setenv("EMBEDWELL_SERVICE", "start")
    return Settings(cache=cache, socket=settings.socket, port=0, service="start")


def test_the_service_is_started_on_demand_and_again(own_cache, expected):
    with on_demand(own_cache), embedwell.Embedder() as embedder:
        assert same(embedder.embed(TEXTS), expected)
        (child,) = started_for(own_cache)
        assert child.cwd() == str(own_cache.cache)
        child.kill()
        wait_until(lambda: not child.is_running())
        assert same(embedder.embed(TEXTS), expected)


def test_a_service_that_has_left_is_started_again_for_a_reranker(own_cache, tmp_path):
    (own_cache.cache / "artifacts").unlink()  # so that the tiny one comes into none of others
    tiny_reranker_source(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with on_demand(own_cache), embedwell.Reranker(f"file:{tmp_path}") as reranker:
        ranked = reranker.rank("w3", ["w3 w4", "w5"])
        (child,) = started_for(own_cache)
        child.terminate()
        wait_until(lambda: not own_cache.socket.exists())
        assert reranker.rank("w3", ["w3 w4", "w5"]) == ranked


def test_however_many_ask_one_service_is_started(own_cache):
    faults = []

    def ask():
        engine = HttpEngine(address(own_cache))
        try:
            ensure_service(own_cache, engine, Watch())
        except EmbedwellError as error:
            faults.append(error)
        engine.close()

    with on_demand(own_cache):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert len(started_for(own_cache)) == 1


def test_a_service_that_cannot_start_shows_the_end_of_its_log(own_cache):
    own_cache.socket.write_text("in the way")
    (own_cache.cache / LOG).write_text("an old line\n")
    with pytest.raises(ServiceStartError, match="is no socket") as caught:
        embedwell.Embedder()
    assert "an old line" not in str(caught.value)
    assert "ended with code 1" in str(caught.value)


def test_a_log_that_has_grown_begins_anew(own_cache):
    (own_cache.cache / LOG).write_bytes(b"x" * (2 << 20))
    own_cache.socket.write_text("in the way")
    with pytest.raises(ServiceStartError):
        embedwell.Embedder()
    assert (own_cache.cache / LOG).stat().st_size < 100_000


def test_a_log_that_cannot_be_written_is_said(own_cache):
    (own_cache.cache / LOG).mkdir()
    with pytest.raises(ServiceStartError, match="cannot be written"):
        embedwell.Embedder()


def test_waiting_for_a_start_can_be_cancelled(own_cache):
    watch = Watch()
    watch.cancelled.set()
    with on_demand(own_cache), pytest.raises(TaskCancelledError):
        ensure_service(own_cache, HttpEngine(address(own_cache)), watch)


def test_a_cache_that_cannot_be_made_is_said(short):
    (short / "file").write_text("")
    settings = Settings(cache=short / "file/below", socket=short / "s")
    with pytest.raises(ServiceStartError, match="cannot be made"):
        ensure_service(settings, HttpEngine(address(settings)), Watch())


@pytest.mark.parametrize(
    ("model", "quantization", "name"),
    [("m", "auto", "m"), ("m", "q8", "m@q8"), ("m@q32", "auto", "m@q32"), ("m:q32", "q8", "m:q32")],
)
def test_a_level_in_a_models_name_counts_before_the_setting(model, quantization, name):
    assert model_name(Settings(model=model, quantization=quantization)) == name
