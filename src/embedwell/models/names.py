"""A model's name, taken apart: `MODEL[:TAG][@LEVEL]`. Nothing is looked up here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from embedwell.core.artifact import QUANTIZATIONS, Quantization
from embedwell.core.errors import UnknownModelError

HUB, FILE, REMOTE = "hf:", "file:", "remote:"
BROUGHT = (HUB, FILE)
"""How names begin of what only its own files can tell of."""

# The rest of each form, as the settings' pattern and this parser share it.
HUB_PATTERN = r"hf:[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[\w./-]+\.gguf)?(#[\w./-]+)?"
REMOTE_PATTERN = r"remote:[A-Za-z0-9][\w./:@-]*"

_HUB = re.compile(HUB_PATTERN)
_COMMIT = re.compile(r"#([0-9a-f]{40})$")
_LENGTH = re.compile(r"[1-9][0-9]{0,5}")
_LATEST, _GGUF = "latest", "gguf"


@dataclass(frozen=True)
class Name:
    """What a name says.

    Attributes:
        model: A catalogue name or alias, `hf:owner/name`, `hf:owner/name/weights.gguf`,
            `file:PATH`, or `remote:NAME` to its end.
        revision: Of a hub repository or of a file's bytes; empty where the name has none.
        dimensions: The shorter length that it asks for; 0 for the model's own.
        gguf: Whether the weights are to be those that the model publishes as GGUF.
        quantization: Bits per weight, where the name says them.
    """

    model: str
    revision: str = ""
    dimensions: int = 0
    gguf: bool = False
    quantization: Quantization | None = None

    @property
    def is_brought(self) -> bool:
        """Whether it names what only its own files can tell of."""
        return self.model.startswith(BROUGHT)

    @property
    def suffix(self) -> str:
        """What follows the model in a name that finds it again, the quantization left out."""
        revision = f"#{self.revision}" if self.revision else ""
        dimensions = f":{self.dimensions}" if self.dimensions else ""
        return f"{revision}{dimensions}{':gguf' if self.gguf else ''}"


def parse_name(text: str) -> Name:
    r"""Take a name apart.

    A path keeps every colon and `@` that is not a tag or a level of ours at its end, so that
    `file:C:\models\e5.gguf@q8` is that file at q8.

    Raises:
        UnknownModelError: A tag or a level means nothing, two of them disagree, or what follows
            `hf:` is no repository.
    """
    if text.startswith(REMOTE):
        return Name(text)
    if text.startswith(FILE):
        return _file(text)
    rest, _, level = text.partition("@")
    scheme, rest = (HUB, rest[len(HUB) :]) if rest.startswith(HUB) else ("", rest)
    base, *tags = rest.split(":")
    if scheme and not _HUB.fullmatch(scheme + base):
        raise UnknownModelError(
            f"'{text}' names no repository of the hub.",
            "Write `hf:owner/name`, `hf:owner/name#revision` or `hf:owner/name/weights.gguf`.",
        )
    model, _, revision = base.partition("#")
    return _tagged(text, scheme + model, revision, [*tags, *([level] if level else [])])


def _file(text: str) -> Name:
    rest, tags = text[len(FILE) :], []
    while match := re.search(r"[:@](q4|q8|q16|q32)$|:([0-9]+|latest|gguf)$", rest):
        rest = rest[: match.start()]
        tags.append(match[1] or match[2])
    commit = _COMMIT.search(rest)
    path = rest[: commit.start()] if commit else rest
    if not path:
        raise UnknownModelError(f"'{text}' names no file.", "Write `file:PATH`.")
    return _tagged(text, FILE + path, commit[1] if commit else "", tags)


def _tagged(text: str, model: str, revision: str, tags: list[str]) -> Name:
    known: list[Quantization] = [level for level in QUANTIZATIONS if level in tags]
    lengths = {int(tag) for tag in tags if _LENGTH.fullmatch(tag)}
    for tag in tags:
        if tag in {*known, _LATEST, _GGUF} or _LENGTH.fullmatch(tag):
            continue
        raise UnknownModelError(
            f"'{text}' has '{tag}', which is neither a quantization nor a tag.",
            f"Use one of {', '.join(QUANTIZATIONS)}, `gguf`, `latest`, or a length such as `:256`.",
        )
    if len(known) > 1 or len(lengths) > 1:
        raise UnknownModelError(
            f"'{text}' asks for two quantizations or lengths at once.", "Leave one of them out."
        )
    return Name(
        model, revision, max(lengths, default=0), _GGUF in tags, known[0] if known else None
    )
