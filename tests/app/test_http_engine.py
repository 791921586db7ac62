"""`engine = http` through the library: embed, index, search, migrate, compare, doctor."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from remote_servers import DIALECTS, FakeServer, Served, served_space, serving, wait

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.models.remote import _tokenizer, names_of
from embedwell.cli.main import cli
from embedwell.core.errors import (
    DriftError,
    EngineError,
    MigrationError,
    RemoteGoneError,
    SettingsError,
    SpaceMismatchError,
    TaskCancelledError,
    UnknownModelError,
)
from embedwell.engines.remote import faults
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import card
from embedwell.models.files import Mirrors

NOTES = {
    "bread.md": "Knead the dough, let it rest and bake the bread.",
    "ships.md": "Three ships lay in the harbour before the tide turned.",
    "code.md": "The function returns a list of names.",
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(faults, "_FIRST_AGAIN_S", 0.01)


@pytest.fixture
def settings(monkeypatch):
    """Sets what the user chose."""

    def choose(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"EMBEDWELL_{name.upper()}", value)

    choose(engine="http")
    return choose


@pytest.fixture(params=DIALECTS)
def server(request, settings):
    with serving(FakeServer(request.param)) as made:
        settings(remote_url=made.url, model="remote:fake")
        yield made


@pytest.fixture
def ollama(settings):
    with serving(FakeServer("ollama", max_tokens=100)) as made:
        settings(remote_url=made.url, model="remote:fake")
        yield made


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "notes"
    place.mkdir()
    for name, text in NOTES.items():
        (place / name).write_text(text)
    return place


def stopped_once_filled():
    def stop(step):
        if step.stage == "fill" and step.done:
            watch.cancelled.set()

    watch = embedwell.Watch(stop)
    return watch


def test_an_embedder_gives_the_servers_vectors(server):
    with embedwell.Embedder() as embedder:
        found = embedder.embed(["three ships"])
        assert embedder.space.model == "remote:fake"
        assert embedder.space.pooling == "unknown"
    np.testing.assert_allclose(found, server.model.rows(["three ships"]), atol=1e-6)


def test_an_index_is_made_searched_and_opened_again(server, folder):
    with embedwell.open(folder) as index:
        index.add_folder()
        found = index.search("ships in the harbour")
        assert found.results[0].chunk.key == "ships.md"
        assert index.space.dimensions == 32
    with embedwell.open(folder) as index:
        assert index.search("bake bread", mode="semantic").results[0].chunk.key == "bread.md"
        assert index.compare("bake bread").build.engine == "http"


def test_an_index_goes_over_to_a_servers_model_and_is_refused_another(ollama, folder, settings):
    with embedwell.open(folder) as index:
        index.add_folder()
    with serving(FakeServer("openai", name="second", model=Served(salt="2"))) as second:
        settings(remote_url=second.url)
        with embedwell.open(folder) as index:
            index.migrate("remote:second")
            assert index.space.model == "remote:second"
        settings(model="remote:third")
        second.name = "third"
        with (
            embedwell.open(folder) as index,
            pytest.raises(SpaceMismatchError, match="remote:third"),
        ):
            index.search("bake bread")
        settings(model="remote:second")
        second.name = "second"
        with embedwell.open(folder) as index:
            assert index.search("bake bread", mode="semantic").results[0].chunk.key == "bread.md"
        second.model = Served(salt="3")
        with embedwell.open(folder) as index, pytest.raises(DriftError) as caught:
            index.search("bake bread")
    assert f"let the server at {second.url} serve what wrote them" in caught.value.remedy.lower()
    assert "`embedwell migrate --to remote:second`" in caught.value.remedy
    assert "--quantization" not in caught.value.remedy


def test_an_index_goes_over_to_what_its_server_has_now_under_the_same_name(ollama, folder):
    with embedwell.open(folder) as index:
        index.add_folder()
        with pytest.raises(MigrationError, match="in the space of remote:fake already"):
            index.migrate("remote:fake")
        ollama.model = Served(salt="2")
        assert index.plan_migration("remote:fake").n_missing == len(NOTES)
        assert index.migrate("remote:fake", keep_old=True).n_embedded == len(NOTES)
        assert index.search("bake bread", mode="semantic").results[0].chunk.key == "bread.md"
        ollama.model = Served(salt="3")  # what was kept is not that one either
        with pytest.raises(TaskCancelledError):
            index.migrate("remote:fake", watch=stopped_once_filled())
        ollama.model = Served(salt="4")
        with pytest.raises(MigrationError, match="--drop next") as caught:
            index.migrate("remote:fake")
        assert "'next' space of remote:fake, which gives other vectors now" in caught.value.problem
        index.drop_space("next")
        index.migrate("remote:fake")
    with embedwell.open(folder) as index:
        assert index.search("bake bread", mode="semantic").results[0].chunk.key == "bread.md"


def test_an_index_goes_over_to_vectors_of_another_length_under_the_same_name(ollama, folder):
    with embedwell.open(folder) as index:
        index.add_folder()
    ollama.model = Served(space=served_space(dimensions=48), salt="2")
    with embedwell.open(folder) as index:
        with pytest.raises(SpaceMismatchError, match=r"dimensions: 32 in the index, 48 asked"):
            index.search("bake bread")
        index.migrate("remote:fake")
    with embedwell.open(folder) as index:
        assert index.space.dimensions == 48
        assert index.search("bake bread", mode="semantic").results[0].chunk.key == "bread.md"


def test_the_code_of_an_index_goes_over_to_what_its_server_has_now(folder, settings):
    (folder / "names.py").write_text("def names(rows):\n    return [row.name for row in rows]\n")
    watch = embedwell.Watch()
    with serving(FakeServer("koboldcpp")) as server:
        settings(remote_url=server.url, model="remote:text", code_model="remote:code")
        with embedwell.open(folder) as index:
            index.add_folder()
            server.model = Served(salt="2")
            with pytest.raises(DriftError) as caught:
                index.embedders.code(watch).embed(["def names"], "document", watch)
            assert "`embedwell migrate --code remote:code`" in caught.value.remedy
            moves = index.pairing.settle("remote:code").moves
            assert [(move.from_model, move.n_embedded) for move in moves] == [("remote:code", 1)]
            assert not index.pairing.settle("remote:code").moves
            index.migrate("remote:text")
            found = index.search("def return for row in", mode="semantic").results
            assert found[0].chunk.key == "names.py"


def test_a_stop_is_heard_while_a_silent_server_is_asked_for_a_new_index(ollama, folder):
    ollama.faults, ollama.keeps = [wait(30)], True
    watch = embedwell.Watch()
    threading.Timer(0.2, watch.cancelled.set).start()
    with pytest.raises(TaskCancelledError):
        embedwell.open(folder, watch=watch)
    assert not (folder / ".embedwell").exists()


def test_a_catalogue_model_is_asked_for_by_the_name_that_the_server_has(settings):
    row = card("all-MiniLM-L6-v2")
    assert names_of(Settings(), row)[:2] == ("all-MiniLM-L6-v2", row.aliases[0])
    assert names_of(Settings(remote_model=("mini",)), row) == ("mini",)
    pair = Settings(remote_model=("all-MiniLM-L6-v2=mini", "jina"))
    assert names_of(pair, row) == ("mini",)
    with serving(FakeServer("ollama", name="all-minilm")) as server:
        settings(remote_url=server.url)
        with pytest.raises(SpaceMismatchError, match="vectors of 32 numbers as 'all-minilm:lat"):
            embedwell.Embedder("all-MiniLM-L6-v2")


def test_settings_that_cannot_mean_anything_are_refused(settings, ollama):
    settings(model="auto")
    with pytest.raises(SettingsError, match="does not say which of the server's"):
        embedwell.Embedder()
    settings(remote_url="")
    with pytest.raises(SettingsError, match="`remote_url` is not set"):
        embedwell.Embedder("remote:fake")
    settings(engine="onnx")
    with pytest.raises(UnknownModelError, match="server's own name") as caught:
        embedwell.Embedder("remote:fake")
    assert "engine = http" in caught.value.remedy


@pytest.mark.parametrize(
    "url", ["localhost:11434", "ftp://host/", "http://me:key@host/", "http://host/?key=1"]
)
def test_an_address_is_an_address_and_holds_no_key(settings, url):
    settings(remote_url=url)
    with pytest.raises(SettingsError, match="remote_url"):
        embedwell.Embedder("remote:fake")


def test_a_server_that_went_away_is_told_by_a_search_and_words_are_found_still(
    ollama, folder, settings
):
    with embedwell.open(folder) as index:
        index.add_folder()
    settings(remote_url="http://127.0.0.1:9")
    with embedwell.open(folder) as index:
        with pytest.raises(RemoteGoneError, match=r"127\.0\.0\.1:9"):
            index.search("bake bread")
        assert index.search("bread", mode="lexical").results


def test_text_and_code_may_have_two_models_of_one_server(folder, settings):
    (folder / "names.py").write_text("def names(rows):\n    return [row.name for row in rows]\n")
    with serving(FakeServer("koboldcpp")) as server:
        settings(remote_url=server.url, model="remote:text", code_model="remote:code")
        with embedwell.open(folder) as index:
            index.add_folder()
            found = index.search("def return for row in", mode="semantic").results
            assert found[0].chunk.key == "names.py"
            assert [one.space.model for one in index.store.spaces.all()] == [
                "remote:text",
                "remote:code",
            ]
    assert {body["model"] for body in server.asked} == {"text", "code"}


def test_a_tokenizer_is_pulled_without_the_weights(published, tmp_path, monkeypatch):
    row = card("all-MiniLM-L6-v2")
    chosen = Settings(cache=tmp_path / "cache", model_files=published)
    find = _tokenizer(chosen, row)
    assert find is not None
    assert find("three ships").tolist() == [0, 6]
    held = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert held < 1 << 20
    assert _tokenizer(chosen, replace(row, name="another", files={})) is None


def test_without_a_tokenizer_tokens_are_estimated_and_that_is_said(tmp_path, monkeypatch, caplog):
    nowhere = Mirrors(BlobCache(tmp_path), ())
    monkeypatch.setattr("embedwell.app.models.remote.mirrors", lambda *_: nowhere)
    assert _tokenizer(Settings(cache=tmp_path), card("all-MiniLM-L6-v2")) is None
    assert "Tokens of all-MiniLM-L6-v2 are estimated" in caplog.text


def test_a_runtime_that_holds_models_itself_says_that_it_asks_no_server(ollama):
    with pytest.raises(EngineError, match="hold models themselves"):
        embedwell.Runtime().load("all-MiniLM-L6-v2", embedwell.Watch())


def test_the_doctor_asks_the_server(ollama, settings):
    said = CliRunner().invoke(cli, ["doctor"]).output
    assert "http ollama 0.12.3" in said
    assert "32 dimensions" in said
    settings(remote_url="http://127.0.0.1:9")
    away = CliRunner().invoke(cli, ["doctor"])
    assert "No server answers at http://127.0.0.1:9" in away.output
    assert away.exit_code == 1
    settings(embeddings="false")
    assert "embeddings are off" in CliRunner().invoke(cli, ["doctor"]).output


def test_the_command_prints_the_servers_vectors(ollama):
    said = CliRunner().invoke(cli, ["embed", "three ships"])
    assert "(32 dimensions)" in said.output


def test_no_engine_no_tokenizer_and_no_tls_reach_a_process_that_asks_a_server(ollama):
    program = (
        "import sys, embedwell\n"
        "embedwell.Embedder().embed(['three ships'])\n"
        "print({'onnxruntime', 'onnx', 'tokenizers', 'ssl', 'httpx'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert said.stdout.strip() == "set()", said.stderr
