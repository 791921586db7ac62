"""What a chunker is given and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from embedwell.core.vectors import IntArray


@dataclass(frozen=True)
class Segment:
    """A structural unit of a text: a section, a paragraph group, a function.

    Segments of a text are in order and do not overlap; together they cover all that is not blank.

    Attributes:
        start: First character, counted in code points.
        end: One past the last character.
        path: The headings or symbols around it, outermost first; segments that share the
            beginning of their paths belong together. May be empty.
        joint: What stands between the parts of the path when it is shown.
    """

    start: int
    end: int
    path: tuple[str, ...] = ()
    joint: str = " > "

    @property
    def title(self) -> str:
        """The path as shown, such as `Install > Linux` or `Parser.parse`; may be empty."""
        return self.joint.join(self.path)


@dataclass(frozen=True)
class Chunk:
    """A passage that fits the model, with its exact position.

    Attributes:
        start: First character, counted in code points.
        end: One past the last character.
        title: Heading or symbol path; may be empty.
    """

    start: int
    end: int
    title: str


class Segmenter(Protocol):
    """Finds the structure of a text of one format."""

    def __call__(self, text: str, language: str) -> list[Segment]:
        """Split a text at its own boundaries.

        Args:
            text: The whole text.
            language: Programming language for code, else empty.
        """
        ...


class TokenStarts(Protocol):
    """Finds where each token of a text begins, with the model's own tokenizer."""

    def __call__(self, text: str) -> IntArray:
        """Offsets in code points of the first character of every token.

        Returns:
            int64, shape (n_tokens,), ascending, special tokens left out.
        """
        ...
