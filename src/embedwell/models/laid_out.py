"""Which files of a repository or a folder make a model, and which forms are read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from embedwell.core.errors import ModelUnavailableError
from embedwell.models.catalogue import PinnedFile

WEIGHTS = (".gguf", ".safetensors")
"""How the files end that weights are read from."""

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_POINTER = b"version https://git-lfs"


def weights_among(model: str, files: Mapping[str, PinnedFile], asked: str) -> list[str]:
    """The files with the weights; GGUF only where it is asked for or there is nothing else.

    Args:
        model: What messages call it.
        files: All there are, by name.
        asked: The one that was named, if one was.

    Raises:
        ModelUnavailableError: There are none, or one of several must be named.
    """
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
    if asked:
        refuse_missing(model, [asked], files)
        return [asked]
    if "model.safetensors" in files:
        return ["model.safetensors"]
    if shards := sorted(name for name in files if _SHARD.fullmatch(name)):
        return shards
    if len(ggufs) == 1:
        return ggufs
    if ggufs:
        raise ModelUnavailableError(
            f"{model} has {len(ggufs)} GGUF files.",
            f"Name one of them: {', '.join(f'{model}/{name}' for name in ggufs[:10])}.",
        )
    pickles = sorted(name for name in files if name.endswith(_PICKLES))
    if pickles:
        raise ModelUnavailableError(
            f"{model} has its weights as pickles only ({', '.join(pickles[:3])}), which can run "
            "any program when they are read; they are never loaded here.",
            "Name a GGUF file of it, or a revision with safetensors: the hub's converter offers "
            "one as a pull request, such as `hf:owner/name#refs/pr/1`.",
        )
    raise ModelUnavailableError(
        f"{model} has no weights as safetensors or GGUF.", "Name a repository or folder that has."
    )


def refuse_missing(where: str, wanted: Collection[str], files: Collection[str]) -> None:
    """Refuse a place that lacks a file; raises `ModelUnavailableError`."""
    missing = [name for name in wanted if name not in files]
    if missing:
        raise ModelUnavailableError(
            f"{where} has no {', '.join(missing)}.",
            "Name a repository, folder or revision that has; `tokenizer.json` is written by "
            "`save_pretrained` of a fast tokenizer.",
        )


def refuse_pointers(paths: Collection[Path]) -> None:
    """Refuse a clone whose big files were not fetched; raises `ModelUnavailableError`."""
    for path in paths:
        with path.open("rb") as file:
            is_pointer = file.read(len(_POINTER)) == _POINTER
        if is_pointer:
            raise ModelUnavailableError(
                f"{path} is only a pointer of Git LFS.", "Run `git lfs pull` in its folder."
            )


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and of its folders of modules."""
    return [path for path in (*folder.glob("*"), *folder.glob("*/config.json")) if path.is_file()]


def is_gguf(weights: Collection[str]) -> bool:
    """Whether a GGUF file is among files."""
    return any(name.endswith(".gguf") for name in weights)
