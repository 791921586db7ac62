"""Every model that has a name here: those of the catalogue, and those that the user brought.

A name is `MODEL[:TAG][@LEVEL]`. MODEL is a catalogue name or alias, `hf:owner/name` for a
repository on the hub, or `file:PATH` for a folder or a GGUF file. TAG is `latest`, a quantization,
a shorter length that the model's vectors may be cut to (`:256`), or `gguf` for the weights that the
model publishes in that form. LEVEL is a quantization.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedwell.core.artifact import QUANTIZATIONS, Quantization
from embedwell.core.errors import UnknownModelError
from embedwell.models.catalogue import ModelCard, card, catalogue


@dataclass(frozen=True)
class Known:
    """The models that can be named.

    Attributes:
        cache: The folder of all model files, which remembers what the user brought.
    """

    cache: Path

    def all(self) -> tuple[ModelCard, ...]:
        """The catalogue's models in its order, then the user's own by name."""
        return tuple(catalogue().values())

    def card(self, name: str) -> ModelCard:
        """The model of that name, whatever its quantization.

        Raises:
            UnknownModelError: There is none.
        """
        return self.named(name)[0]

    def named(self, name: str) -> tuple[ModelCard, Quantization | None]:
        """The model, and the quantization where the name has one.

        Raises:
            UnknownModelError: There is no such model or quantization.
        """
        base, _, level = name.replace(":", "@").partition("@")
        if level in {"", "latest"}:
            return card(base), None
        if level not in QUANTIZATIONS:
            raise UnknownModelError(
                f"'{name}' names the quantization '{level}', which does not exist.",
                f"Choose one of: {', '.join(QUANTIZATIONS)}.",
            )
        return card(base), level
