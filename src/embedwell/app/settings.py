"""Every setting, with its default, its meaning and its allowed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_type_hints

from msgspec import Meta, Struct, field
from platformdirs import user_cache_path

from embedwell.core.artifact import Quantization

SIZE = r"\d+(\.\d+)?\s*([KMG]i?B|B)?"
_PERSONAL = {"personal": True}


def _cache() -> Path:
    return user_cache_path("embedwell", appauthor=False)


class Settings(Struct, frozen=True, kw_only=True):
    """What a user may choose. Fields are named as in the configuration files."""

    model: Annotated[str, Meta(description="Model for new indexes and for `embed`.")] = (
        "all-MiniLM-L6-v2"
    )
    quantization: Annotated[
        Quantization, Meta(description="Bits per weight: `q4`, `q8`, `q16` or `q32`.")
    ] = "q8"
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="Threads of the engine; 0 takes every CPU that this process may use.",
        ),
    ] = 0
    memory_budget: Annotated[
        str,
        Meta(
            pattern=rf"^({SIZE}|\d+(\.\d+)?%)$",
            description="Most memory for loaded models: `80%` of the machine's, `1.5GiB`, bytes.",
        ),
    ] = "80%"
    chunk_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Most tokens of a chunk in new indexes; 0 fits the model.",
        ),
    ] = 0
    max_file: Annotated[
        str,
        Meta(
            pattern=f"^{SIZE}$",
            description="Larger text files are skipped; PDFs and notebooks may be 32 times larger.",
        ),
    ] = "2MiB"
    cache: Annotated[
        Path,
        Meta(description="Folder for model files and artifacts.", extra=_PERSONAL),
    ] = field(default_factory=_cache)
    model_files: Annotated[
        Path | None,
        Meta(
            description="Folder with the model's published files, tried before any download.",
            extra=_PERSONAL,
        ),
    ] = None
    db: Annotated[
        Path | None,
        Meta(
            description="Index file; by default `.embedwell/index.db` in the folder.",
            extra=_PERSONAL,
        ),
    ] = None


TYPES = get_type_hints(Settings, include_extras=True)


def meta(name: str) -> Meta:
    """What is known of a setting: its description, its limits, whether it is personal."""
    found: Meta = TYPES[name].__metadata__[0]
    return found


# A project's checked-in file must not point outside of the project: these are a person's own.
PERSONAL = frozenset(name for name in TYPES if meta(name).extra == _PERSONAL)
