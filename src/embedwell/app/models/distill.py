"""`models distill`: a static model from any other, without torch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import format_bytes
from embedwell.app.models.auto import with_model
from embedwell.app.models.choose import machine
from embedwell.app.models.obtain import artifact, named
from embedwell.core.artifact import Artifact
from embedwell.core.device import available_cpus
from embedwell.core.errors import ConversionError, OverBudgetError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.models.catalogue import ModelCard
from embedwell.models.distill import distill, read_vocabulary
from embedwell.models.first_use import FirstUse
from embedwell.models.heads import check_head
from embedwell.models.known import Known
from embedwell.models.names import parse_name
from embedwell.models.scratch import Scratch, writing
from embedwell.models.static import write_published
from embedwell.runtime.needs import estimated_bytes

DIMENSIONS = 256
# For each token of the vocabulary: its vectors and those of two sequences at half precision, its
# row, and what fitting some columns holds.
_BYTES_PER_TOKEN = 8 << 10


@dataclass(frozen=True)
class Distilled:
    """A static model that was made.

    Attributes:
        name: What it can be named by from now on.
        folder: Where its files lie, in the form in which Model2Vec publishes static models.
        size_bytes: Of its table at full precision.
    """

    name: str
    folder: Path
    size_bytes: int


def distill_model(
    settings: Settings, dimensions: int | None, output: Path | None, watch: Watch
) -> Distilled:
    """Make a static model from the one that settings name.

    Args:
        settings: They name the model.
        dimensions: Length of its vectors; 256 by default, or the model's where that is shorter.
        output: A new or empty folder for its files; one in the cache where left out, which takes
            the place of what was distilled there before.
        watch: Told of progress; may stop the task, which then leaves nothing.

    Raises:
        ModelError: The model cannot be had, is a static one, or has fewer dimensions; or
            `output` holds something.
        OverBudgetError: There is too little memory for it.
        TaskCancelledError: `watch` was asked to stop.
    """
    if output is not None:
        _refuse_full(output)
    settings, _ = with_model(settings, watch)
    card, _ = named(settings, settings.model, watch)
    length = dimensions or min(DIMENSIONS, card.dimensions)
    check_head(card, "embedding")
    _check(card, length)
    plain = structs.replace(settings, engine="onnx", quantization="q8")
    made = artifact(plain, f"{card.called}@q8", watch)
    vocabulary = read_vocabulary(made.tokenizer_file, card.document_prompt)
    _check_fits(settings, made, vocabulary.size)
    engine = open_engine(made, settings.threads or available_cpus())

    def embed(ids: IntArray) -> FloatArray:
        return engine.run(TokenBatch(ids, np.ones_like(ids)))

    try:
        table = distill(embed, vocabulary, length, watch)
    finally:
        engine.close()
    folder = output or settings.cache / "distilled" / _folder_name(card, length)
    _write(settings.cache, folder, table, made, card)
    name = f"file:{folder}"  # looked at anew: another model may have lain there
    FirstUse(settings.cache, watch).bring(parse_name(name))
    return Distilled(Known(settings.cache).card(name).called, folder, table.nbytes)


def _refuse_full(folder: Path) -> None:
    """Refuse to write over what a person has."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConversionError(
            f"{folder} is there already and not empty, and a static model gets its own folder.",
            "Name a new folder, or remove that one first.",
        )


def _check(card: ModelCard, dimensions: int) -> None:
    if card.architecture == "static":
        raise ConversionError(f"{card.name} is a static model already.", "Name another model.")
    if not 1 <= dimensions <= card.dimensions:
        raise ConversionError(
            f"{card.name} has {card.dimensions} dimensions, and {dimensions} were asked for.",
            f"Ask for 1 to {card.dimensions}.",
        )


def _check_fits(settings: Settings, made: Artifact, n_tokens: int) -> None:
    need = estimated_bytes(made) + _BYTES_PER_TOKEN * n_tokens
    budget, _ = machine(settings)
    if need > budget:
        raise OverBudgetError(
            f"Distilling {made.name} takes about {format_bytes(need)}, and the budget is "
            f"{format_bytes(budget)}.",
            "Raise `memory_budget`, or distill on another machine and copy the folder.",
        )


def _folder_name(card: ModelCard, dimensions: int) -> str:
    name = card.name.rpartition(":")[2].rpartition("/")[2]
    return f"{name}-static-{dimensions}"


def _write(cache: Path, folder: Path, table: FloatArray, made: Artifact, card: ModelCard) -> None:
    """Write the whole folder or nothing; one in the cache is replaced, one elsewhere is not."""
    languages = "".join(f"\n- {language}" for language in card.languages)
    readme = (
        f"---\nlicense: {card.licence.lower()}\nlanguage:{languages}\nbase_model: {card.hub_id}\n"
        f"---\n\nA static model, distilled by embedwell from {card.name} ({card.revision}).\n"
    )
    told = {"tokenizer_name": card.hub_id, "distilled_from": card.name}
    with Scratch(cache) as scratch:
        draft = scratch.new("distilled")
        with writing(cache):
            write_published(draft, table, made.tokenizer_file, told, readme)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists() and not folder.is_relative_to(cache):
                folder.rmdir()  # refuses one that was filled meanwhile
            elif folder.exists():
                folder.rename(scratch.new("replaced") / folder.name)
            shutil.move(draft, folder)
