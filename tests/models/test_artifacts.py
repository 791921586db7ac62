import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from published import (
    FILES,
    Recorder,
    all_files,
    fake_convert,
    made_up_card,
    source_in,
    write_files,
)

from embedwell.core.errors import (
    ConversionError,
    ModelCacheError,
    TaskCancelledError,
    WrongBytesError,
)
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.source import SourceFiles

CARD = made_up_card()


@pytest.fixture
def source(tmp_path) -> SourceFiles:
    return source_in(write_files(tmp_path / "source"))


@pytest.fixture
def kept(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache", fake_convert)


def test_an_artifact_that_was_made_is_found(kept, source):
    made = kept.make(source, "q8", Watch())
    assert kept.find(CARD, "q8") == made
    assert kept.list() == (made,)
    assert made.name == "made-up@q8"
    assert made.folder.name == f"made-up@q8-{made.key[:12]}"
    assert made.space == CARD.space
    assert made.weights_sha256 == CARD.files["model.safetensors"].sha256
    assert made.tokenizer_file.read_bytes() == FILES["tokenizer.json"]
    assert all_files(made.folder) == [
        "artifact.json",
        "model.onnx",
        "tokenizer.json",
        "weights.bin",
    ]
    assert made.size_bytes == sum(
        (made.folder / name).stat().st_size
        for name in ("model.onnx", "tokenizer.json", "weights.bin")
    )


def test_before_it_is_made_nothing_is_found_and_no_folder_appears(kept):
    assert kept.find(CARD, "q8") is None
    assert kept.list() == ()
    assert kept.damaged() == ()
    assert not kept.cache.exists()


def test_each_quantization_is_an_artifact_of_its_own(kept, source):
    q8, q32 = (kept.make(source, level, Watch()) for level in ("q8", "q32"))
    assert kept.find(CARD, "q8") == q8
    assert kept.find(CARD, "q32") == q32
    assert kept.find(CARD, "q4") is None
    assert kept.list() == (q32, q8)


def test_it_is_not_made_twice(kept, source):
    made = kept.make(source, "q8", Watch())
    recorder = Recorder()
    assert kept.make(source, "q8", recorder.watch) == made
    assert recorder.steps == []


def test_progress_tells_of_checking_and_converting(kept, source):
    recorder = Recorder()
    kept.make(source, "q8", recorder.watch)
    assert recorder.stages() == {"verify", "convert"}


@pytest.mark.parametrize(
    "newer",
    [
        replace(CARD, max_tokens=128),
        made_up_card(FILES | {"tokenizer.json": b"{}"}),
    ],
    ids=["another maximum", "another tokenizer"],
)
def test_what_would_be_made_differently_today_is_not_found(kept, source, newer):
    kept.make(source, "q8", Watch())
    assert kept.find(newer, "q8") is None


def test_a_new_prompt_changes_the_space_and_not_the_files(kept, source):
    made = kept.make(source, "q8", Watch())
    prompted = replace(CARD, query_prompt="query: ")
    found = kept.find(prompted, "q8")
    assert found == replace(made, space=prompted.space)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2] + b"?!")


def restore_times(path: Path) -> None:
    """Alter a file and hide it, as decay does."""
    stat = path.stat()
    alter(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("harm", [cut, alter, Path.unlink])
@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "tokenizer.json", "artifact.json"])
def test_a_damaged_artifact_is_set_aside_named_and_made_again(kept, source, caplog, harm, name):
    made = kept.make(source, "q8", Watch())
    harm(made.folder / name)
    with caplog.at_level(logging.WARNING):
        assert kept.find(CARD, "q8") is None
    assert str(made.folder) in caplog.text
    assert name in caplog.text
    assert [path.name for path in kept.damaged()] == [f"{made.folder.name}.damaged"]
    assert kept.list() == ()
    assert kept.make(source, "q8", Watch()) == made
    assert kept.find(CARD, "q8") == made


def test_only_the_last_damaged_artifact_is_kept_for_a_look(kept, source):
    for _ in range(2):
        made = kept.make(source, "q8", Watch())
        cut(made.folder / "weights.bin")
        assert kept.find(CARD, "q8") is None
    assert len(kept.damaged()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"format": 2}',
        '{"format": 1}',
        "\udcff",
    ],
)
def test_a_manifest_of_another_kind_is_damage(kept, source, text):
    made = kept.make(source, "q8", Watch())
    (made.folder / "artifact.json").write_text(text, "utf-8", "surrogateescape")
    assert kept.list() == ()
    assert kept.find(CARD, "q8") is None


def test_a_manifest_with_a_field_too_many_is_damage(kept, source):
    manifest = kept.make(source, "q8", Watch()).folder / "artifact.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"colour": "blue"}))
    assert kept.find(CARD, "q8") is None


def test_an_artifact_copied_from_elsewhere_is_whole_and_hashed_only_once(kept, source, tmp_path):
    made = kept.make(source, "q8", Watch())
    other = ArtifactStore(tmp_path / "other", fake_convert)
    copy = other.cache / "artifacts" / made.folder.name
    shutil.copytree(made.folder, copy, copy_function=shutil.copyfile)
    assert other.find(CARD, "q8") == replace(made, folder=copy)
    weights, original = copy / "weights.bin", made.folder / "weights.bin"
    assert weights.stat().st_mtime_ns == original.stat().st_mtime_ns


class TestVerify:
    def test_a_whole_artifact_passes(self, kept, source):
        kept.verify(kept.make(source, "q8", Watch()))

    @pytest.mark.parametrize("harm", [cut, alter, restore_times, Path.unlink])
    def test_damage_is_refused_with_the_files_name_and_what_to_do(self, kept, source, harm):
        made = kept.make(source, "q8", Watch())
        harm(made.folder / "weights.bin")
        with pytest.raises(WrongBytesError, match=r"weights\.bin") as refusal:
            kept.verify(made)
        assert "embedwell models remove made-up@q8" in refusal.value.remedy
        assert "embedwell models pull made-up@q8" in refusal.value.remedy


class TestRemove:
    def test_the_artifact_and_its_damaged_and_older_ones_go(self, kept, source):
        kept.make(source, "q32", Watch())
        cut(kept.make(source, "q8", Watch()).folder / "weights.bin")
        kept.find(CARD, "q8")
        older = replace(source, card=replace(CARD, max_tokens=8))
        kept.make(older, "q8", Watch())
        kept.make(source, "q8", Watch())
        assert kept.remove(CARD, "q8") > 3 * 300_000
        assert [artifact.name for artifact in kept.list()] == ["made-up@q32"]
        assert kept.damaged() == ()
        assert all_files(kept.cache / "tmp") == []

    def test_what_is_not_there_frees_nothing(self, kept):
        assert kept.remove(CARD, "q8") == 0


class TestMakingIsAllOrNothing:
    def test_an_altered_source_is_refused(self, kept, source):
        alter(source.paths["model.safetensors"])
        with pytest.raises(WrongBytesError, match=r"model\.safetensors"):
            kept.make(source, "q8", Watch())
        assert all_files(kept.cache) == []

    def test_a_failed_conversion_leaves_nothing(self, source, tmp_path):
        def fail(source, quantization, form, folder, watch):
            fake_convert(source, quantization, form, folder, watch)
            raise ConversionError("No.", "Stop.")

        kept = ArtifactStore(tmp_path / "cache", fail)
        with pytest.raises(ConversionError):
            kept.make(source, "q8", Watch())
        assert all_files(kept.cache) == []

    @pytest.mark.parametrize("stage", ["verify", "convert"])
    def test_cancelling_leaves_nothing(self, kept, source, stage):
        with pytest.raises(TaskCancelledError):
            kept.make(source, "q8", Recorder(stop_at=stage).watch)
        assert all_files(kept.cache) == []

    def test_a_full_disk_leaves_nothing_and_is_named(self, kept, source, monkeypatch):
        def refuse(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(ModelCacheError, match="is full"):
            kept.make(source, "q8", Watch())
        assert all_files(kept.cache) == []

    def test_a_kill_leaves_nothing_that_would_be_found(self, kept, source):
        script = f"""
            import os, signal, sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from pathlib import Path
            from published import fake_convert, source_in
            from embedwell.core.events import Watch
            from embedwell.models.artifacts import ArtifactStore
            folder = Path({str(source.paths["config.json"].parent)!r})
            source = source_in(folder)
            def die(step):
                if step.stage == "convert" and step.done == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
            ArtifactStore(Path({str(kept.cache)!r}), fake_convert).make(source, "q8", Watch(die))
        """
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
        assert killed.returncode < 0
        assert all_files(kept.cache / "tmp")
        assert kept.find(CARD, "q8") is None
        kept.make(source, "q8", Watch())
        assert all_files(kept.cache / "tmp") == []

    def test_many_at_once_end_with_one_artifact_that_all_use(self, source, tmp_path):
        n_threads = 6
        barrier = threading.Barrier(n_threads)

        def convert_together(source, quantization, form, folder, watch):
            fake_convert(source, quantization, form, folder, watch)
            barrier.wait()  # so that all come to the renaming

        kept = ArtifactStore(tmp_path / "cache", convert_together)
        made = []
        threads = [
            threading.Thread(target=lambda: made.append(kept.make(source, "q8", Watch())))
            for _ in range(n_threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [made[0]] * n_threads
        assert kept.list() == (made[0],)
        assert all_files(kept.cache / "tmp") == []

    def test_the_last_to_rename_loses_quietly(self, kept, source, monkeypatch):
        real = Path.rename

        def come_second(self: Path, target: Path) -> Path:
            shutil.copytree(self, target)
            return real(self, target)

        monkeypatch.setattr(Path, "rename", come_second)
        made = kept.make(source, "q8", Watch())
        assert kept.list() == (made,)
        assert all_files(kept.cache / "tmp") == []

    def test_a_cache_whose_place_is_a_file_is_named(self, kept, source):
        kept.cache.write_text("not a folder")
        with pytest.raises(ModelCacheError, match="cannot be written"):
            kept.make(source, "q8", Watch())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
class TestReadOnlyCache:
    @pytest.fixture
    def made(self, kept, source):
        made = kept.make(source, "q8", Watch())
        for folder in (made.folder, made.folder.parent, kept.cache, kept.cache / "tmp"):
            folder.chmod(0o555)
        yield made
        for folder in (kept.cache, kept.cache / "tmp", made.folder.parent, made.folder):
            folder.chmod(0o755)

    def test_what_is_there_is_found(self, kept, made):
        assert kept.find(CARD, "q8") == made

    def test_making_another_names_the_folder(self, kept, made, source):
        with pytest.raises(ModelCacheError, match="cannot be written"):
            kept.make(source, "q32", Watch())

    def test_removing_names_the_folder(self, kept, made):
        with pytest.raises(ModelCacheError, match="cannot be written"):
            kept.remove(CARD, "q8")


def test_finding_loads_no_converter_and_no_client(kept, source):
    kept.make(source, "q8", Watch())
    script = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from embedwell.models.artifacts import ArtifactStore
        before = set(sys.modules)
        from published import made_up_card
        assert ArtifactStore(Path({str(kept.cache)!r})).find(made_up_card(), "q8")
        heavy = {{"onnx", "onnxruntime", "huggingface_hub", "safetensors", "numpy", "tokenizers"}}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
