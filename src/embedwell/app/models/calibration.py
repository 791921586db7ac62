"""Make a recipe for a model and have it used."""

from __future__ import annotations

from pathlib import Path

from embedwell.app.config.settings import Settings
from embedwell.app.models.auto import with_model
from embedwell.app.models.obtain import named, pull_source
from embedwell.core.errors import ConversionError, ModelCacheError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.calibrate import calibrate
from embedwell.models.calibration_texts import calibration_texts
from embedwell.models.heads import check_head
from embedwell.models.key import recipe_name


def calibrate_model(
    settings: Settings, texts: Path | None, output: Path | None, watch: Watch
) -> Path:
    """Find the scales of a model's q8.

    Args:
        settings: They name the model.
        texts: Texts of the user's own, one a line, added to the odd ones of ours.
        output: The recipe's file; by default in the cache, from where it is used.
        watch: Told of each finished site; may stop the task.

    Returns:
        Where the recipe is.

    Raises:
        ModelError: The model cannot be had or calibrated, or the recipe not be written.
    """
    settings, _ = with_model(settings, watch)
    card, _ = named(settings, settings.model, watch)
    check_head(card, "embedding")
    if card.architecture == "static":
        raise ConversionError(
            f"{card.name} is a table of vectors and needs no scales.", "Name another model."
        )
    source = pull_source(settings, card, watch)
    lines = texts.read_text("utf-8", "replace").splitlines() if texts else []
    recipe = calibrate(source, [*lines, *calibration_texts()], watch)
    place = output or ArtifactStore(settings.cache).recipes / recipe_name(source)
    draft = place.with_name(f"{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(recipe.to_bytes())
        draft.replace(place)
    except OSError as error:
        raise ModelCacheError(
            f"The recipe cannot be written to {place}: {error.strerror}.",
            "Name a file that can be written with `--output FILE`.",
        ) from error
    return place
