"""What determines an artifact's bytes. It stands alone because every start of the program asks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from embedwell.core.artifact import Quantization
from embedwell.models.source import SourceFiles

BUILDER_VERSION = 2  # raise it with every change that gives other bytes

_RECIPES = Path(__file__).parent / "recipes"
_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


def conversion_key(source: SourceFiles, quantization: Quantization) -> str:
    """SHA-256 (64 hex digits) over all that determines an artifact's bytes and its vectors."""
    files = source.card.files
    parts = {
        "builder": BUILDER_VERSION,
        "files": {name: files[name].sha256 for name in (_CONFIG, _WEIGHTS, _TOKENIZER)},
        "pooling": source.card.pooling,
        "max_tokens": source.card.max_tokens,
        "quantization": quantization,
        "recipe": recipe_hash(source, quantization),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def recipe_hash(source: SourceFiles, quantization: Quantization) -> str | None:
    """SHA-256 (64 hex digits) of the recipe that a conversion would use; None if none."""
    place = recipe_place(source) if quantization == "q8" else None
    return hashlib.sha256(place.read_bytes()).hexdigest() if place else None


def recipe_place(source: SourceFiles) -> Path | None:
    """The package's recipe for these weights; None where there is none."""
    name = f"{source.card.files[_WEIGHTS].sha256}.safetensors"
    place = _RECIPES / name
    return place if place.is_file() else None
