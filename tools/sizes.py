"""No file in `src/` over 400 lines, no function over 60: longer ones have become two things."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60


def too_long(file: Path) -> Iterator[str]:
    """A sentence for the file and for each function that is over its limit."""
    text = file.read_text("utf-8")
    n_lines = len(text.splitlines())
    if n_lines > MOST_FILE_LINES:
        yield f"{file.relative_to(ROOT)}: {n_lines} lines, at most {MOST_FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if n_lines > MOST_FUNCTION_LINES:
                place = f"{file.relative_to(ROOT)}:{node.lineno}"
                yield f"{place}: {node.name} has {n_lines} lines, at most {MOST_FUNCTION_LINES}"


faults = [fault for file in sorted((ROOT / "src").rglob("*.py")) for fault in too_long(file)]
print("\n".join(faults) or "Sizes: kept")
sys.exit(bool(faults))
