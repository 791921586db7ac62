"""The files of a folder that are worth indexing, in a stable order."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pathspec import GitIgnoreSpec

from embedwell.core.errors import QueueError

# Left out beside hidden names (as ripgrep does): made by tools, never written by people.
_TOOL_FOLDERS = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_IGNORE_FILE = ".gitignore"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A regular file found by the walk.

    Attributes:
        name: Path relative to the folder with `/` between its parts, as the system spells it.
        key: The same, always valid Unicode.
        size_bytes: Its size.
        mtime_ns: Its modification time.
    """

    name: str
    key: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Skipped:
    """Something that was left out, and why.

    Attributes:
        key: Its key, or its place in what was listed.
        reason: Why.
        fate: `failed` where it should have been indexed; `unlisted` where nobody can look at a file
            or into a folder (whose key ends with `/`) now: what is stored of it stays; `gone` where
            a list names it and it is no longer there.
    """

    key: str
    reason: str
    fate: Literal["left out", "failed", "unlisted", "gone"] = "left out"


@dataclass(frozen=True)
class _Rules:
    """One `.gitignore`, and how a name of the walk becomes a name that it speaks of.

    Attributes:
        spec: Its patterns.
        n_prefix: Characters to take from the front of the name: the file's own folder.
        above: Text to put before it: the walked folder, for a file that lies above it.
    """

    spec: GitIgnoreSpec
    n_prefix: int
    above: str


def walk(
    folder: Path, on_skipped: Callable[[Skipped], None], exclude: Sequence[str] = ()
) -> Iterator[Candidate]:
    """Find files below a folder, honouring `.gitignore` files in it and in its repository.

    Hidden names and symbolic links are left out: what a link inside the folder points to is
    found at its own place, and what lies outside is not the folder's.

    Args:
        folder: An existing folder.
        on_skipped: Told of links and of folders that cannot be read.
        exclude: Patterns as in a `.gitignore` of the folder, which prevail over all such files.

    Yields:
        Files sorted by name within each folder.

    Raises:
        QueueError: The folder itself cannot be listed.
    """
    given = (_Rules(_spec(exclude), 0, ""),) if exclude else ()
    pending: list[tuple[Path, str, tuple[_Rules, ...]]] = [(folder, "", _outer_rules(folder))]
    while pending:
        path, prefix, rules = pending.pop()
        entries = _listed(path, prefix, on_skipped)
        if any(entry.name == _IGNORE_FILE for entry in entries):
            rules = (*rules, *_read_rules(path / _IGNORE_FILE, len(prefix)))
        all_rules = rules + given
        folders = []
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or entry.name in _TOOL_FOLDERS:
                continue
            if entry.is_symlink():
                on_skipped(Skipped(_key(name), "is a symbolic link"))
            elif entry.is_dir():
                if not _ignored(name + "/", all_rules):
                    folders.append((Path(entry.path), name + "/", rules))
            elif entry.is_file() and not _ignored(name, all_rules):
                yield from _candidate(entry, name, on_skipped)
        pending += reversed(folders)


def _listed(
    folder: Path, prefix: str, on_skipped: Callable[[Skipped], None]
) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; nothing where it has gone or cannot be looked into.

    Raises:
        QueueError: It is the one that is walked, and cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not prefix:
            raise QueueError(
                f"{folder} cannot be listed: {error.strerror}.",
                "Check its permissions and the disk; what is stored of it stays.",
            ) from error
        if not isinstance(error, FileNotFoundError):
            reason = f"cannot be listed: {error.strerror}"
            on_skipped(Skipped(_key(prefix), reason, "unlisted"))
        return []


def _candidate(
    entry: os.DirEntry[str], name: str, on_skipped: Callable[[Skipped], None]
) -> Iterator[Candidate]:
    try:
        stat = entry.stat()
    except FileNotFoundError:  # removed since it was listed
        return
    except OSError as error:
        on_skipped(Skipped(_key(name), f"cannot be read: {error.strerror}", "unlisted"))
        return
    yield Candidate(name, _key(name), stat.st_size, stat.st_mtime_ns)


def _key(name: str) -> str:
    """The name as valid Unicode: bytes that are not UTF-8 are written in hexadecimal."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def _ignored(name: str, rules: tuple[_Rules, ...]) -> bool:
    """What git would say: the innermost file that speaks of the name decides."""
    for rule in reversed(rules):
        verdict = rule.spec.check_file(rule.above + name[rule.n_prefix :]).include
        if verdict is not None:
            return verdict
    return False


def _read_rules(file: Path, n_prefix: int = 0, above: str = "") -> tuple[_Rules, ...]:
    try:
        if not file.is_file():  # a pipe would be waited for
            return ()
        lines = file.read_text("utf-8-sig", "replace").splitlines()
    except OSError:  # not ours to read: git goes on as well
        return ()
    return (_Rules(_spec(lines), n_prefix, above),)


def is_pattern(line: str) -> bool:
    """Whether a line of a `.gitignore` is understood."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `[[` may mean something else one day
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):  # what is no pattern, and `[z-a]`
            return False
    return True


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    """Patterns without those that are not understood, which git passes over as well."""
    return GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line))


def _outer_rules(folder: Path) -> tuple[_Rules, ...]:
    """Rules of the repository's folders above the one that is walked, the outermost first."""
    inner = folder.resolve()
    lineage = [inner, *inner.parents]
    root = next((place for place in lineage if (place / ".git").exists()), inner)
    found: tuple[_Rules, ...] = ()
    for place in reversed(lineage[1 : lineage.index(root) + 1]):
        above = inner.relative_to(place).as_posix() + "/"
        found += _read_rules(place / _IGNORE_FILE, above=above)
    return found
