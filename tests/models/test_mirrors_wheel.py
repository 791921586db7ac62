import os
import socket
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from published import FILES, WHEEL, Recorder, all_files, made_up_card, write_wheel

from embedwell.core.errors import TaskCancelledError
from embedwell.core.events import Watch
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.mirrors.wheel import PipMirror, announced_bytes
from embedwell.models.scratch import Scratch

CARD = made_up_card()


@pytest.fixture
def links(tmp_path, monkeypatch):
    """A folder that pip is configured to look into, and nowhere else."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(
    tmp_path: Path, card=CARD, mirror: PipMirror | None = None, watch: Watch | None = None
) -> tuple[Answer, dict[str, bytes]]:
    """What a mirror answers, and the bytes while they are there."""
    with Scratch(tmp_path / "cache") as scratch:
        answer = (mirror or PipMirror()).fetch(card, list(card.files), scratch, watch or Watch())
        return answer, {name: path.read_bytes() for name, path in answer.paths.items()}


def test_files_come_out_of_the_wheel_that_pip_finds(links, tmp_path):
    write_wheel(links)
    recorder = Recorder()
    answer, contents = fetch(tmp_path, watch=recorder.watch)
    assert answer.reason == ""
    assert contents == FILES
    assert recorder.stages() >= {"unpack"}
    assert all_files(tmp_path / "cache") == []


def test_nothing_is_installed_or_run(links, tmp_path):
    poison = {"sitecustomize.py": b"raise SystemExit", f"{WHEEL.folder}/__init__.py": b"1/0"}
    write_wheel(links, {f"{WHEEL.folder}/{name}": FILES[name] for name in FILES} | poison)
    before = set(sys.path), all_files(Path(sys.prefix) / "bin")
    assert fetch(tmp_path)[1] == FILES
    assert before == (set(sys.path), all_files(Path(sys.prefix) / "bin"))


def test_an_index_without_the_wheel_is_told_of_with_what_pip_said(links, tmp_path):
    answer, _ = fetch(tmp_path)
    assert "pip cannot download made-up-model==1.2 (No matching distribution" in answer.reason


def test_a_model_without_a_wheel_asks_nobody(tmp_path):
    answer, _ = fetch(tmp_path, made_up_card(wheel=None))
    assert answer.reason == "the catalogue names no wheel for this model"
    assert not (tmp_path / "cache").exists()


def test_an_index_that_refuses_connections_is_told_of(links, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert "the package index did not answer" in fetch(tmp_path)[0].reason


def test_an_index_that_never_answers_is_given_up(links, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        answer, _ = fetch(tmp_path, mirror=PipMirror(silence_s=2))
    assert answer.reason == "no answer from the package index in 2 s"


def test_a_wheel_much_larger_than_its_files_is_not_downloaded(links, tmp_path):
    write_wheel(links)
    answer, _ = fetch(tmp_path, mirror=PipMirror(spare_bytes=-2 * sum(map(len, FILES.values()))))
    assert "is larger than 0 bytes" in answer.reason


def test_cancelling_ends_pip_and_leaves_nothing(links, tmp_path):
    write_wheel(links)
    recorder = Recorder()
    recorder.watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        fetch(tmp_path, watch=recorder.watch)
    assert all_files(tmp_path / "cache") == []


def test_an_interpreter_without_pip_says_so(links, tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pip.py").write_text("raise ImportError('No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    assert "No module named pip" in fetch(tmp_path)[0].reason


@pytest.mark.parametrize(
    ("output", "n_bytes"),
    [
        ("Collecting x\n  Downloading x-1-py3-none-any.whl (83.5 MB)\n", 83_500_000),
        ("  Downloading x-1-py3-none-any.whl (12 kB)", 12_000),
        ("  Downloading x-1-py3-none-any.whl (7 bytes)", 7),
        ("Processing ./x-1-py3-none-any.whl", None),
    ],
)
def test_the_size_that_pip_announces_is_the_total_of_the_progress(output, n_bytes):
    assert announced_bytes(output) == n_bytes


class TestHostileWheels:
    def test_a_member_that_points_out_of_the_wheel_is_never_written(self, links, tmp_path):
        escape = {"../../escaped": b"x", "/escaped": b"x", f"{WHEEL.folder}/../../escaped": b"x"}
        write_wheel(links, {f"{WHEEL.folder}/{n}": c for n, c in FILES.items()} | escape)
        before = all_files(tmp_path)
        assert fetch(tmp_path)[1] == FILES
        assert all_files(tmp_path) == before
        assert not Path("/escaped").exists()

    def test_a_catalogue_name_is_not_a_path_to_write_to(self, links, tmp_path):
        name = "../../escaped"
        card = made_up_card({name: b"x"})
        write_wheel(links, {f"{WHEEL.folder}/{name}": b"x"})
        before = all_files(tmp_path)
        assert fetch(tmp_path, card)[1] == {name: b"x"}
        assert all_files(tmp_path) == before

    def test_a_member_of_another_size_is_refused_before_it_is_unpacked(self, links, tmp_path):
        bomb = FILES | {"model.safetensors": b"\0" * 50_000_000}
        members = {f"{WHEEL.folder}/{name}": content for name, content in bomb.items()}
        write_wheel(links, members, zipfile.ZIP_DEFLATED)
        answer, contents = fetch(tmp_path)
        assert contents.keys() == {"config.json", "tokenizer.json"}
        assert "model.safetensors has 50000000 bytes in the wheel, expected 700000" in answer.reason

    def test_a_member_that_unpacks_to_more_than_it_declares_is_cut(self, links, tmp_path):
        wheel = write_wheel(
            links,
            {f"{WHEEL.folder}/config.json": b"\0" * 50_000_000},
            zipfile.ZIP_DEFLATED,
        )
        size = len(FILES["config.json"])
        lie(wheel, f"{WHEEL.folder}/config.json", size)
        card = replace(CARD, files={"config.json": CARD.files["config.json"]})
        answer, contents = fetch(tmp_path, card)
        assert all(len(content) <= size for content in contents.values())
        assert answer.reason or contents["config.json"] == b"\0" * size

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_packing_without_a_bound_on_memory_is_refused(self, links, tmp_path, compression):
        members = {f"{WHEEL.folder}/{name}": content for name, content in FILES.items()}
        write_wheel(links, members, compression)
        answer, contents = fetch(tmp_path)
        assert contents == {}
        assert "packed in a way that wheels do not use" in answer.reason

    def test_a_wheel_that_lacks_a_file_is_told_of_by_the_files_name(self, links, tmp_path):
        write_wheel(links, {f"{WHEEL.folder}/config.json": FILES["config.json"]})
        answer, contents = fetch(tmp_path)
        assert contents.keys() == {"config.json"}
        assert f"the wheel has no {WHEEL.folder}/model.safetensors" in answer.reason


def lie(wheel: Path, member: str, size: int) -> None:
    """Have a wheel declare another unpacked size for a member."""
    with zipfile.ZipFile(wheel) as archive:
        true_size = archive.getinfo(member).file_size
    content = wheel.read_bytes().replace(
        true_size.to_bytes(4, "little"), size.to_bytes(4, "little")
    )
    wheel.write_bytes(content)
