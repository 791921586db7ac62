"""The four tools: what clients are told of them, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _described(kind: Schema, description: str) -> Schema:
    return kind | {"description": description}


def _object(properties: Mapping[str, Schema], required: tuple[str, ...], *, closed: bool) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties), "required": list(required)}
    return found | {"additionalProperties": False} if closed else found


_INDEX = _described(
    _TEXT,
    "Which indexed folder: its path, absolute or from the folder that this server was started "
    "for. By default that folder itself.",
)


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: As clients call it.
        title: As people read it.
        description: For whoever chooses a tool.
        arguments: JSON Schema by argument.
        required: Arguments that must be given.
        gives: JSON Schema by field of the structured answer.
        reads_only: Whether it changes nothing.
    """

    name: str
    title: str
    description: str
    arguments: Mapping[str, Schema]
    required: tuple[str, ...]
    gives: Mapping[str, Schema]
    reads_only: bool = True

    def listed(self) -> Schema:
        """As `tools/list` gives it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _object(self.arguments, self.required, closed=True),
            "outputSchema": _object(self.gives, tuple(self.gives), closed=False),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.reads_only,
                "destructiveHint": False,
                "idempotentHint": True,
                "openWorldHint": False,
            },
        }


_LINES = {"start_line": _COUNT, "end_line": _COUNT}
_HIT = {"rank": _COUNT, "score": {"type": "number"}, "id": _COUNT, "path": _TEXT, **_LINES}
_PART = {"id": _COUNT, **_LINES, "title": _TEXT, "text": _TEXT}

TOOLS = (
    Tool(
        "search",
        "Search a folder by meaning",
        "Find the passages of an indexed folder (texts and code) that answer a question, by "
        "meaning and by words. Each comes with its path and lines. Ask in whole sentences.",
        {
            "query": _described(_TEXT, "The question, or some words."),
            "k": _described(
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10}, "Most passages."
            ),
            "mode": _described(
                {"type": "string", "enum": ["hybrid", "semantic", "lexical"], "default": "hybrid"},
                "By meaning and words, by meaning, or by words.",
            ),
            "path": _described(_TEXT, "Only paths that match this glob, such as docs/**."),
            "language": _described(_TEXT, "Only this language, such as python or markdown."),
            "kind": _described({"type": "string", "enum": ["text", "code"]}, "Only text, or code."),
            "metadata": _described({"type": "object"}, "Values that documents must have."),
            "index": _INDEX,
        },
        ("query",),
        {
            "query": _TEXT,
            "mode": _TEXT,
            "results": {
                "type": "array",
                "items": _object(_HIT | {"title": _TEXT, "text": _TEXT}, tuple(_HIT), closed=False),
            },
        },
    ),
    Tool(
        "get",
        "Read on around a passage",
        "Read a passage that a search found with what stands before and after it, or a whole "
        "document or some of its lines as they were indexed.",
        {
            "id": _described(_COUNT, "Of a passage, from a search."),
            "path": _described(_TEXT, "Of a document, from a search; instead of id."),
            "start_line": _described(_COUNT, "First line wanted, with path."),
            "end_line": _described(_COUNT, "Last line wanted, with path."),
            "around": _described(
                {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
                "Passages before and after it.",
            ),
            "index": _INDEX,
        },
        (),
        {
            "path": _TEXT,
            **_LINES,
            "n_chunks": _COUNT,
            "chunks": {"type": "array", "items": _object(_PART, tuple(_PART), closed=False)},
        },
    ),
    Tool(
        "status",
        "What an index holds",
        "Tell how many documents an index holds, which model it was made with, and which files "
        "of its folder are new, changed or gone since.",
        {"index": _INDEX},
        (),
        {"db": _TEXT, "documents": _COUNT, "chunks": _COUNT, "model": _TEXT},
    ),
    Tool(
        "reindex",
        "Bring an index up to date",
        "Index the new and changed files of an indexed folder and drop those that are gone. May "
        "take minutes after large changes; what was done is kept when it is cancelled.",
        {"index": _INDEX},
        (),
        {"n_added": _COUNT, "n_updated": _COUNT, "n_removed": _COUNT, "n_unchanged": _COUNT},
        reads_only=False,
    ),
)

BY_NAME = {tool.name: tool for tool in TOOLS}
