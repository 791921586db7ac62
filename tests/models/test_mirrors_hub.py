from pathlib import Path

import pytest
from hub_server import Fault, HubServer
from published import FILES, REVISION, Recorder, all_files, made_up_card

from embedwell.core.errors import TaskCancelledError
from embedwell.core.events import Watch
from embedwell.models.blobs import BlobCache
from embedwell.models.files import Mirrors, pull
from embedwell.models.mirrors.hub import HubMirror
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch

CARD = made_up_card()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that is well, and a client that is set to it."""
    with HubServer(
        CARD.hub_id, REVISION, dict(FILES), lfs=frozenset({"model.safetensors"})
    ) as server:
        use_hub(monkeypatch, tmp_path, server.url)
        yield server


def use_hub(monkeypatch, tmp_path: Path, endpoint: str) -> None:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def fetch(tmp_path: Path, mirror: HubMirror | None = None, watch: Watch | None = None) -> Answer:
    with Scratch(tmp_path / "cache") as scratch:
        return (mirror or HubMirror()).fetch(CARD, list(CARD.files), scratch, watch or Watch())


def half_done(tmp_path: Path) -> list[str]:
    return [name for name in all_files(tmp_path / "hf") if name.endswith(".incomplete")]


def test_all_files_come_from_the_hub_with_progress_in_bytes(hub, tmp_path):
    recorder = Recorder()
    answer = fetch(tmp_path, watch=recorder.watch)
    assert answer.reason == ""
    assert {name: path.read_bytes() for name, path in answer.paths.items()} == FILES
    assert recorder.stages() == {"download"}
    assert {step.total for step in recorder.steps} == {sum(map(len, FILES.values()))}


def test_big_files_are_fetched_where_the_hub_redirects_to(hub, tmp_path):
    fetch(tmp_path)
    assert ("GET", "/storage/model.safetensors") in hub.requests


def test_a_token_goes_to_the_hub_and_not_beyond(hub, tmp_path, monkeypatch):
    hub.token = "a-secret"  # the server itself asserts that its storage never sees it
    monkeypatch.setenv("HF_TOKEN", "a-secret")
    assert fetch(tmp_path).reason == ""


def test_files_in_the_clients_cache_cost_no_request(hub, tmp_path):
    fetch(tmp_path)
    hub.requests.clear()
    assert fetch(tmp_path).reason == ""
    assert hub.requests == []


def test_offline_mode_asks_nobody_and_still_uses_the_clients_cache(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in fetch(tmp_path).reason
    assert hub.requests == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    fetch(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch(tmp_path).paths.keys() == FILES.keys()


def test_a_pulled_file_is_not_on_the_disk_twice(hub, tmp_path):
    source = pull(CARD, Mirrors(BlobCache(tmp_path / "cache"), (HubMirror(),)), Watch())
    assert source.mirror == "hub"
    for path in source.paths.values():
        assert path.parent == tmp_path / "cache" / "blobs"
        assert path.stat().st_nlink == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("gated", "accept its terms"),
        ("error", "answered 500"),
        ("no-metadata", "X-Repo-Commit"),
    ],
)
def test_a_refusing_hub_is_asked_once_and_named(hub, tmp_path, fault: Fault, said: str):
    hub.fault = fault
    answer = fetch(tmp_path)
    assert said in answer.reason
    assert answer.paths == {}
    assert len(hub.requests) <= 2


def test_a_hub_that_wants_a_token_says_so(hub, tmp_path):
    hub.token = "a-secret"
    assert "HF_TOKEN" in fetch(tmp_path).reason


def test_a_file_that_the_hub_lacks_is_told_and_the_others_are_kept(hub, tmp_path):
    del hub.files["model.safetensors"]
    answer = fetch(tmp_path)
    assert answer.paths.keys() == {"config.json", "tokenizer.json"}
    assert "does not have these files" in answer.reason


def test_another_revision_is_not_taken(hub, tmp_path):
    hub.revision = "f" * 40
    answer = fetch(tmp_path)
    assert answer.paths == {}
    assert "(404)" in answer.reason


def test_a_hub_that_refuses_connections_is_named(tmp_path, monkeypatch):
    use_hub(monkeypatch, tmp_path, "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot give" in fetch(tmp_path).reason


def test_a_hub_that_never_answers_is_given_up(hub, tmp_path):
    hub.fault = "silent"
    answer = fetch(tmp_path, HubMirror(connect_s=0.3))
    assert "did not answer in 0.3 s" in answer.reason or "cannot give" in answer.reason


@pytest.mark.parametrize("fault", ["stalled", "truncated"])
def test_a_download_that_gets_no_further_is_given_up_and_leaves_nothing(hub, tmp_path, fault):
    hub.fault = fault
    answer = fetch(tmp_path, HubMirror(silence_s=1.5))
    assert "sent nothing for 1.5 s" in answer.reason
    assert not half_done(tmp_path)


def test_cancelling_a_download_leaves_nothing(hub, tmp_path):
    hub.fault = "stalled"
    with pytest.raises(TaskCancelledError):
        fetch(tmp_path, watch=Recorder(stop_at="download").watch)
    assert not half_done(tmp_path)
    assert all_files(tmp_path / "cache") == []


def test_without_its_client_the_hub_says_what_happened(hub, tmp_path, monkeypatch):
    broken = tmp_path / "broken" / "huggingface_hub"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise SystemExit('no client here')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    assert "no client here" in fetch(tmp_path).reason
