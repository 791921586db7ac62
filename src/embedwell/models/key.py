"""What determines an artifact's bytes. It stands alone because every start of the program asks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from embedwell.core.artifact import Form, Quantization
from embedwell.models.source import SourceFiles

BUILDER_VERSION = 5  # raise it with every change that gives other bytes

_RECIPES = Path(__file__).parent / "recipes"


def conversion_key(source: SourceFiles, quantization: Quantization, form: Form = "onnx") -> str:
    """SHA-256 (64 hex digits) over all that determines an artifact's bytes and its vectors."""
    parts = {
        "builder": BUILDER_VERSION,
        "files": {name: pin.sha256 for name, pin in sorted(source.card.files.items())},
        "pooling": source.card.pooling,
        "max_tokens": source.card.max_tokens,
        "quantization": quantization,
        "form": form,
        "recipe": recipe_hash(source, quantization, form),
    }
    if source.card.head == "rerank":  # the same weights may be read either way
        parts["head"] = source.card.head
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def recipe_hash(source: SourceFiles, quantization: Quantization, form: Form = "onnx") -> str | None:
    """SHA-256 (64 hex digits) of the recipe that a conversion would use; None if none."""
    place = recipe_place(source) if (quantization, form) == ("q8", "onnx") else None
    return hashlib.sha256(place.read_bytes()).hexdigest() if place else None


def recipe_place(source: SourceFiles) -> Path | None:
    """The recipe for these weights, the user's own before the package's; None if there is none."""
    folders = (source.recipes, _RECIPES) if source.recipes else (_RECIPES,)
    if not source.card.files[source.card.weights].sha256:
        return None
    places = [folder / recipe_name(source) for folder in folders]
    return next((place for place in places if place.is_file()), None)


def recipe_name(source: SourceFiles) -> str:
    """File name of a recipe: it goes by the weights that it was made for."""
    return f"{source.card.files[source.card.weights].sha256}.safetensors"
