"""A made-up model with small files, for tests of where bytes come from."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from embedwell.core.artifact import Form, Quantization
from embedwell.core.events import Progress, Watch
from embedwell.models.catalogue import ModelCard, PinnedFile, WheelMirror, catalogue
from embedwell.models.source import SourceFiles

REVISION = "0123456789abcdef0123456789abcdef01234567"
FILES: dict[str, bytes] = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b'{"version": "1.0"}' * 50,
    "model.safetensors": random.Random(0).randbytes(700_000),
}
WHEEL = WheelMirror(project="made-up-model", version="1.2", folder="made_up_model/files")


def made_up_card(
    files: Mapping[str, bytes] = FILES, wheel: WheelMirror | None = WHEEL
) -> ModelCard:
    """A catalogue row that pins these bytes."""
    row = next(iter(catalogue().values()))
    pins = {
        name: PinnedFile(hashlib.sha256(content).hexdigest(), len(content))
        for name, content in files.items()
    }
    return replace(
        row,
        name="made-up",
        hub_id="someone/made-up",
        revision=REVISION,
        files=pins,
        wheel=wheel,
        first_values=None,
    )


def write_files(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Lay files out as they are published."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_wheel(
    folder: Path, members: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> Path:
    """Build a wheel that pip accepts, with the made-up model's files or other members."""
    if members is None:
        members = {f"{WHEEL.folder}/{name}": content for name, content in FILES.items()}
    module, version = WHEEL.project.replace("-", "_"), WHEEL.version
    info = f"{module}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", compression) as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {WHEEL.project}\nVersion: {version}\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def all_files(folder: Path) -> list[str]:
    """What lies below a folder."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def source_in(folder: Path) -> SourceFiles:
    """The made-up model's files where they lie in a folder."""
    row = made_up_card()
    return SourceFiles(row, {name: folder / name for name in row.files}, "local")


class Recorder:
    """Keeps the steps of a task, and stops it at a chosen one."""

    def __init__(self, stop_at: str = "") -> None:
        self.steps: list[Progress] = []
        self._stop_at = stop_at
        self.watch = Watch(self._listen)

    def _listen(self, step: Progress) -> None:
        self.steps.append(step)
        if step.stage == self._stop_at:
            self.watch.cancelled.set()

    def stages(self) -> set[str]:
        return {step.stage for step in self.steps}


def fake_convert(
    source: SourceFiles, quantization: Quantization, form: Form, folder: Path, watch: Watch
) -> None:
    """Two files that depend on what they are made from."""
    watch.progress("convert", 1, 2, "tensors")
    weights = source.paths["model.safetensors"].read_bytes()
    (folder / "model.onnx").write_bytes(quantization.encode())
    (folder / "weights.bin").write_bytes(weights[::2])
    (folder / "tokenizer.json").write_bytes(source.paths["tokenizer.json"].read_bytes())
    watch.progress("convert", 2, 2, "tensors")
