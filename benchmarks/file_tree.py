"""A tree of many small files of mixed kinds, wide and deep, with what `.gitignore` leaves out."""

from __future__ import annotations

import random
from pathlib import Path

SUFFIXES = ("md", "md", "txt", "py", "py", "rs", "js", "go", "json", "html", "toml", "png")
COMMENTS = {"py": "# ", "rs": "// ", "js": "// ", "go": "// "}  # so that code can be parsed
N_TOPS = 120
DEEP_EVERY, DEPTH, FLAT_DEPTH, N_LEAVES = 12, 60, 3, 3
N_WORDS = (20, 40)


def make(root: Path, n_files: int, words: list[str]) -> int:
    """Write the tree; returns how many folders it has.

    Every twelfth top folder is 60 folders deep, the others are wide. A twelfth of the files are of
    a binary kind, which a walk leaves out, and as many again are ignored. Each text is of 20 to 40
    words drawn anew, so that no two files have a chunk in common.
    """
    drawn = random.Random(7)
    root.mkdir(parents=True)
    (root / ".gitignore").write_text("build/\n*.log\n")
    folders = [folder for top in range(N_TOPS) for folder in _folders(root, top)]
    for at in range(n_files):
        suffix = "log" if at % 12 == 0 else drawn.choice(SUFFIXES)
        file = folders[at % len(folders)] / f"file{at:06d}.{suffix}"
        text = " ".join(drawn.choices(words, k=drawn.randint(*N_WORDS)))
        file.write_text(COMMENTS.get(suffix, "") + text, "utf-8")
    return len(folders)


def change(root: Path, every: int) -> int:
    """Add a word to one of so many texts; returns how many were changed."""
    files = sorted(file for file in root.rglob("file*") if file.suffix not in {".png", ".log"})
    chosen = files[::every]
    for file in chosen:
        file.write_text(file.read_text("utf-8") + " changed", "utf-8")
    return len(chosen)


def _folders(root: Path, top: int) -> list[Path]:
    place = root / f"part{top:03d}"
    is_deep = top % DEEP_EVERY == 0
    found = []
    for level in range(DEPTH if is_deep else FLAT_DEPTH):
        place /= f"level{level}"
        found.append(place)
        found += [place / f"leaf{leaf}" for leaf in range(1 if is_deep else N_LEAVES)]
    for folder in found:
        folder.mkdir(parents=True, exist_ok=True)
    return found
