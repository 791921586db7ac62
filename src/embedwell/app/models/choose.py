"""Which quantization and which model fit this machine, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import format_bytes, parse_budget
from embedwell.core.artifact import QUANTIZATIONS, Quantization
from embedwell.core.device import total_memory_bytes
from embedwell.engines.registry import form_of, runs
from embedwell.models.catalogue import ModelCard
from embedwell.models.gguf.level import level_of
from embedwell.runtime.profile import MINIMUM_RAM_BYTES, profile_for

AUTO = "auto"
# What the budget leaves to the rest of the machine by default: a budget that somebody set lower
# speaks of a smaller machine.
_BUDGET_SHARE = 0.8
# Every model whose q8 weights fit this part of the budget is q8: measured smaller, faster and
# truer than the lower levels (docs/quantization.md).
_Q8_SHARE = 0.25
# Special tokens, and a token or two that a passage may gain when it is cut out of its text.
_SPARE_TOKENS = 6
_USUAL_CHUNK = 512 - _SPARE_TOKENS
# What people read as one passage, and what most models were trained on.
_PAGE_TOKENS = 506
# From so much available memory, a new collection gets the stronger of the models.
STRONG_FROM_BYTES = 3 << 30


@dataclass(frozen=True)
class QuantizationChoice:
    """Bits per weight for a model on this machine.

    Attributes:
        quantization: The level.
        reason: Why, as a sentence.
        warning: What speaks against it, as a sentence; empty where nothing does.
    """

    quantization: Quantization
    reason: str
    warning: str = ""


@dataclass(frozen=True)
class ModelChoice:
    """A model for a new collection.

    Attributes:
        name: Which.
        reason: Why, as a sentence.
    """

    name: str
    reason: str


def choose_quantization(
    asked: Quantization | Literal["auto"],
    policy: Literal["measured", "table"],
    q8_bytes: int,
    budget_bytes: int,
    ram_bytes: int,
) -> QuantizationChoice:
    """Bits per weight: what was asked for, else what fits.

    Args:
        asked: A level, or `auto`.
        policy: `measured` takes q8 wherever it fits a quarter of the budget, `table` takes the
            profile's.
        q8_bytes: Bytes of the model's weights at q8: about one for each parameter.
        budget_bytes: The memory budget.
        ram_bytes: Memory of the machine, or of a machine that has such a budget by default.
    """
    if asked != "auto":
        return QuantizationChoice(asked, f"{asked} was asked for.", _warning(asked, ram_bytes))
    size, quarter = format_bytes(q8_bytes), format_bytes(budget_bytes * _Q8_SHARE)
    if policy == "measured" and q8_bytes <= budget_bytes * _Q8_SHARE:
        return QuantizationChoice(
            "q8",
            f"q8, since its {size} fit a quarter of the budget ({quarter}): smaller, faster and "
            "truer than the other levels.",
        )
    why = "as the policy says" if policy == "table" else f"since q8 ({size}) is above {quarter}"
    level = profile_for(ram_bytes).quantization
    counted = f"a machine that counts as {format_bytes(ram_bytes)}"
    return QuantizationChoice(level, f"{level}, the table's for {counted}, {why}.")


def choose_model(
    cards: Collection[ModelCard],
    available_bytes: int,
    is_present: Callable[[ModelCard], bool],
    is_reachable: Callable[[ModelCard], bool],
) -> ModelChoice | None:
    """The model for a new collection of texts, in the order of what the machine is fit for.

    Only what embeds texts, fits a quarter of the memory at q8, and was run here on its real weights
    or is on this machine already. A table of token vectors is for those who ask for it by name.

    Args:
        cards: What there is to choose from.
        available_bytes: Memory that could still be taken.
        is_present: Whether a model's files are here.
        is_reachable: Whether they could be had; asked only while no better one is present.

    Returns:
        None where no model is present or reachable.
    """
    is_strong = available_bytes > STRONG_FROM_BYTES
    fit = [
        model
        for model in cards
        if (model.domain, model.head) == ("text", "embedding")
        and model.architecture != "static"
        and fits(model, available_bytes)
        and (model.verified or is_present(model))
    ]
    passed: list[str] = []
    for model in _by_strength(fit, strongest_first=is_strong):
        if is_present(model) or is_reachable(model):
            return ModelChoice(model.name, _reason(model, fit, available_bytes, passed))
        passed.append(model.name)
    return None


def fits(model: ModelCard, memory_bytes: int) -> bool:
    """Whether a model's q8 weights take no more than a quarter of so much memory."""
    return model.n_parameters <= memory_bytes * _Q8_SHARE


def engine_for(settings: Settings, model: ModelCard) -> str:
    """What runs a model: what the settings name, where it can.

    A table of token vectors runs by itself, pairs of texts only on onnxruntime, and what another
    program's server has (`http`) there.
    """
    if model.head == "rerank":
        return "onnx"
    if settings.engine == "http":
        return "http"
    return "static" if model.architecture == "static" else settings.engine


def quantization_for(settings: Settings, model: ModelCard) -> QuantizationChoice:
    """Bits per weight for a model on this machine with these settings."""
    engine = engine_for(settings, model)
    if settings.quantization == AUTO and (level := _as_it_is(engine, model)):
        return QuantizationChoice(
            level, f"{level}, which {model.weights} has: {engine} runs it so."
        )
    budget_bytes, ram_bytes = machine(settings)
    choice = choose_quantization(
        settings.quantization,
        settings.quantization_policy,
        model.n_parameters,
        budget_bytes,
        ram_bytes,
    )
    return choice if settings.quantization != AUTO else runnable(choice, engine)


def _as_it_is(engine: str, model: ModelCard) -> Quantization | None:
    """The level of a model's GGUF file, where an engine runs that file as it is."""
    if form_of(engine) != "gguf" or not model.files or not model.weights.endswith(".gguf"):
        return None
    n_bytes = model.files[model.weights].size_bytes
    return level_of(n_bytes, model.n_parameters) if n_bytes else None


def artifact_name(settings: Settings, model: ModelCard, level: Quantization | None = None) -> str:
    """What computes a model's vectors here, such as `all-MiniLM-L6-v2@q8`.

    A server's bits per weight are its own business: the model's name stands for it.
    """
    if engine_for(settings, model) == "http":
        return model.called
    return f"{model.called}@{level or quantization_for(settings, model).quantization}"


def runnable(choice: QuantizationChoice, engine: str) -> QuantizationChoice:
    """What was chosen, or the next higher level that an engine runs."""
    if runs(engine, choice.quantization):
        return choice
    above = QUANTIZATIONS[QUANTIZATIONS.index(choice.quantization) :]
    level = next(level for level in above if runs(engine, level))
    return QuantizationChoice(
        level, f"{level}, the lowest from {choice.quantization} that {engine} runs."
    )


def fitting(chunk_tokens: int, max_tokens: int) -> int:
    """Most tokens of a chunk, so that a model takes it whole; 0 asks for what fits.

    A model may take whole books: a passage is not longer than a page unless that is asked for.
    """
    most = max_tokens - _SPARE_TOKENS
    return min(chunk_tokens or min(most, _PAGE_TOKENS), most)


def machine(settings: Settings) -> tuple[int, int]:
    """The memory budget, and the memory that the machine counts as, in bytes."""
    total = total_memory_bytes()
    budget_bytes = parse_budget(settings.memory_budget, total)
    return budget_bytes, int(min(total, budget_bytes / _BUDGET_SHARE))


def _by_strength(cards: Sequence[ModelCard], *, strongest_first: bool) -> list[ModelCard]:
    """Vectors of more dimensions, then more parameters, are taken for the stronger model."""
    return sorted(cards, key=lambda c: (c.dimensions, c.n_parameters), reverse=strongest_first)


def _reason(
    model: ModelCard, cards: Collection[ModelCard], available_bytes: int, passed: Sequence[str]
) -> str:
    size = f"{model.dimensions} dimensions"
    if len(cards) == 1:
        return f"The model is {model.name} ({size}): no other is verified or here, and fits."
    side = "more" if available_bytes > STRONG_FROM_BYTES else "not more"
    memory = f"{format_bytes(available_bytes)} of memory are available, {side} than "
    said = f"The model is {model.name} ({size}): {memory}{format_bytes(STRONG_FROM_BYTES)}"
    if passed:
        said += f"; {', '.join(passed)} would have come first and cannot be had"
    return f"{said}."


def _warning(level: Quantization, ram_bytes: int) -> str:
    minimum = MINIMUM_RAM_BYTES[level]
    if ram_bytes >= minimum:
        return ""
    return (
        f"{level} is meant for machines from {format_bytes(minimum)}, and this one counts as "
        f"{format_bytes(ram_bytes)}."
    )
