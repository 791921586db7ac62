"""Source code into definitions, by tree-sitter's syntax trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from embedwell.chunking.grammars import GRAMMARS, Grammar
from embedwell.chunking.outline import MAX_TITLE_CHARS
from embedwell.chunking.protocol import Segment

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Tree

JOINT = "."
MAX_SOURCE_BYTES = 512 << 10
"""Larger sources are generated and not parsed: recovering from errors takes up to 20 s a MiB."""

MAX_NESTING = 16
"""Definitions nested deeper stay part of what surrounds them."""

MAX_WRAPPERS = 4
"""As many nodes may stand around a definition: `export const f = () => …` has three."""

_NAME_FIELDS = ("declarator", "type")
_WHOLE_NAMES = frozenset({"qualified_identifier", "generic_type", "scoped_type_identifier"})

Start = tuple[int, tuple[str, ...]]


def segments(text: str, language: str) -> list[Segment]:
    """The definitions of a source file, each with its symbol path, and what lies between them.

    Comments, decorators and attributes right above a definition belong to it; the head of a
    class without statements belongs to its first member. Parts that do not parse stay in the
    segment around them, so that nothing is lost.

    Args:
        text: The source.
        language: A name in `GRAMMARS`; for others, and for sources of more than
            `MAX_SOURCE_BYTES`, the whole text is one segment.
    """
    if not text.strip():
        return []
    grammar = GRAMMARS.get(language)
    source = text.encode("utf-8", "surrogatepass")
    if grammar is None or len(source) > MAX_SOURCE_BYTES:
        return [Segment(0, len(text))]
    tree = _parse(source, grammar)
    if language == "c" and tree.root_node.has_error:
        tree, grammar = _as_header(source, tree, grammar)
    starts = _Walk(grammar).starts(tree.root_node)
    offsets = _characters(source, [start for start, _ in starts])
    ends = [*offsets[1:], len(text)]
    return [
        Segment(start, end, path, JOINT)
        for start, end, (_, path) in zip(offsets, ends, starts, strict=True)
        if start < end
    ]


class _Run:
    """The statements between the definitions of one container.

    Args:
        found: Starts of segments; the last one is the head of the container.
        path: Symbols around what is found.
    """

    def __init__(self, found: list[Start], path: tuple[str, ...]) -> None:
        self._found = found
        self._is_bare = True
        self._is_open = True
        self.path = path

    def begin(self, start: int) -> None:
        """Take a statement: it goes on with the run, or with the head, or begins a run."""
        if not self._is_open:
            self._found.append((start, self.path))
        self._is_bare, self._is_open = False, True

    def define(self, start: int, path: tuple[str, ...]) -> None:
        """Take a definition; a head without statements belongs to it."""
        if self._is_bare:
            start, _ = self._found.pop()
        self._found.append((start, path))
        self._is_bare = self._is_open = False


class _Walk:
    """Collects where each segment begins, in bytes, with its symbol path."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._found: list[Start] = [(0, ())]

    def starts(self, root: Node) -> Sequence[Start]:
        self._members(root, _Run(self._found, ()), 0)
        return self._found

    def _members(self, parent: Node, run: _Run, depth: int) -> None:
        """Walk the children of the root, of a container's body or of a transparent node."""
        lead_start, lead_row, last_row = None, -1, -1
        for node in _named_children(parent):
            row = node.start_point.row
            if lead_start is not None and row > lead_row + 1:
                run.begin(lead_start)
                lead_start = None
            start = node.start_byte if lead_start is None else lead_start
            if node.type in self._grammar.leads and row != last_row:
                lead_start, lead_row = start, _last_row(node)
                continue
            lead_start, last_row = None, _last_row(node)
            if not self._descend(node, start, run, depth):
                run.begin(start)
        if lead_start is not None:
            run.begin(lead_start)

    def _descend(self, node: Node, start: int, run: _Run, depth: int) -> bool:
        """Take a definition or a transparent node; false where it is neither."""
        if depth >= MAX_NESTING:
            return False
        if node.type in self._grammar.transparent:
            run.begin(start)
            self._members(node, run, depth + 1)
            return True
        chain = self._definition(node)
        if not chain:
            return False
        name = next((name for part in chain if (name := _name(part))), chain[-1].type)
        path = (*run.path, name)
        run.define(start, path)
        body = chain[-1].child_by_field_name("body")
        if chain[-1].type in self._grammar.containers and body is not None:
            self._members(body, _Run(self._found, path), depth + 1)
        return True

    def _definition(self, node: Node, depth: int = 0) -> list[Node]:
        """The definition that a node is or wraps, after what wraps it; empty where none."""
        if node.type in self._grammar.definitions:
            return [node]
        if node.type in self._grammar.wrappers and depth < MAX_WRAPPERS:
            for child in _named_children(node):
                if inner := self._definition(child, depth + 1):
                    return [node, *inner]
        return []


def _parse(source: bytes, grammar: Grammar) -> Tree:
    from tree_sitter import Parser  # noqa: PLC0415 - loaded when the first source file comes

    return Parser(_language(grammar.source)).parse(source)


@cache
def _language(source: str) -> Language:
    from tree_sitter import Language  # noqa: PLC0415 - loaded when the first source file comes

    module, function = source.split(":")
    return Language(getattr(import_module(module), function)())


def _as_header(source: bytes, tree: Tree, grammar: Grammar) -> tuple[Tree, Grammar]:
    """A header may be C++: whichever grammar reads it without an error."""
    cpp = GRAMMARS["cpp"]
    other = _parse(source, cpp)
    return (tree, grammar) if other.root_node.has_error else (other, cpp)


def _named_children(node: Node) -> Iterator[Node]:
    """Named children one by one: a broken file may have a million of them."""
    cursor = node.walk()
    goes_on = cursor.goto_first_child()
    while goes_on:
        child = cursor.node
        if child is not None and child.is_named:
            yield child
        goes_on = cursor.goto_next_sibling()


def _last_row(node: Node) -> int:
    """The last line that a node has a character on; some comments include their line end."""
    end = node.end_point
    return end.row - 1 if end.column == 0 and end.row > node.start_point.row else end.row


def _name(node: Node) -> str:
    """The symbol that a node introduces; empty where it has none."""
    for _ in range(MAX_NESTING):
        if node.type in _WHOLE_NAMES or not node.named_child_count:
            return _text(node)
        name = node.child_by_field_name("name") or node.child_by_field_name("property")
        if name is not None:
            return _receiver(node) + _text(name).strip("\"'")
        fields = (node.child_by_field_name(field) for field in _NAME_FIELDS)
        following = next((child for child in fields if child is not None), None)
        if following is None:
            return ""
        node = following
    return ""


def _receiver(method: Node) -> str:
    """The type that a Go method belongs to, with a dot."""
    receiver = method.child_by_field_name("receiver")
    parameter = next(_named_children(receiver), None) if receiver is not None else None
    kind = parameter.child_by_field_name("type") if parameter is not None else None
    return f"{_text(kind).lstrip('*')}." if kind is not None else ""


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")[:MAX_TITLE_CHARS]


def _characters(source: bytes, offsets: Sequence[int]) -> list[int]:
    """Byte offsets in UTF-8 as offsets in code points."""
    if source.isascii():
        return list(offsets)
    begins = (np.frombuffer(source, dtype=np.uint8) & 0xC0) != 0x80
    edges = [0, *offsets]
    counts = [int(np.count_nonzero(begins[a:b])) for a, b in zip(edges, offsets, strict=False)]
    return [int(total) for total in np.cumsum(counts)]
