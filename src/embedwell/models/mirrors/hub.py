"""The hub, by its own client in a process of its own (`hub_child.py`).

The client honours `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_TOKEN` and `HF_HOME` by itself. Alone it
waits 23 s for a hub that cannot be reached, and longer where names resolve slowly; a process can be
ended at any moment, and gives back the 30 MB that the client takes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard, PinnedFile
from embedwell.models.mirrors import hub_child
from embedwell.models.mirrors.child import Child
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch


@dataclass(frozen=True)
class Listing:
    """What a repository of the hub holds.

    Attributes:
        commit: The commit that its revision means now; empty where there is no answer.
        files: By name; the hash is empty where the hub publishes none, as of small files.
        reason: Why there is no answer, as a clause.
    """

    commit: str
    files: Mapping[str, PinnedFile]
    reason: str = ""


@dataclass(frozen=True)
class HubMirror:
    """The hub that the client is set to, and the client's cache.

    Attributes:
        connect_s: Give up when the hub has not answered by then, name resolution included.
        silence_s: Give up after this long without a byte.
    """

    connect_s: float = 3.0
    silence_s: float = 20.0
    name: str = "hub"
    lasting: bool = True

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        """Have the client download the files into its cache; those it has cost no network."""
        if not card.repository[0]:
            return Answer(reason="does not have what comes from a folder")
        sizes = {name: card.files[name].size_bytes for name in names}
        return self.download(card.repository, sizes, scratch, watch)

    def download(
        self,
        repository: tuple[str, str],
        sizes: Mapping[str, int],
        scratch: Scratch,
        watch: Watch,
    ) -> Answer:
        """Have the client download files into its cache.

        Args:
            repository: `owner/name` and the revision.
            sizes: Bytes by published name; 0 where that is not known.
            scratch: Where the client's output goes.
            watch: Told of it as `download` in bytes.

        Raises:
            ModelCacheError: The cache is full or cannot be written.
            TaskCancelledError: The watch asked to stop.
        """
        child = self._child(repository, list(sizes), scratch)
        report = _Report(child, sizes, watch)
        ended = child.run(report, watch)
        report()  # what came between the last look and its end
        return _answer(list(sizes), child.output(), ended, self.silence_s)

    def listing(self, repository: tuple[str, str], scratch: Scratch, watch: Watch) -> Listing:
        """What a repository holds at a revision; offline what the client's cache has of it.

        Raises:
            ModelCacheError: The cache is full or cannot be written.
            TaskCancelledError: The watch asked to stop.
        """
        child = self._child(repository, None, scratch)
        ended = child.run(lambda: 0, watch)
        output = child.output()
        for message in _messages(output):
            if "commit" in message:
                files = {name: PinnedFile(**pin) for name, pin in message["files"].items()}
                return Listing(message["commit"], files)
        return Listing("", {}, _why(output, ended, self.silence_s))

    def _child(
        self, repository: tuple[str, str], names: list[str] | None, scratch: Scratch
    ) -> Child:
        request = {
            "repository": repository[0],
            "revision": repository[1],
            "names": names,
            "connect_s": self.connect_s,
        }
        return Child(
            command=(sys.executable, "-P", "-m", hub_child.__name__),
            log=scratch.new("hub") / "log",
            silence_s=self.silence_s,
            request=json.dumps(request),
        )


class _Report:
    """Tells how far the client is, from the size of its files.

    Its own progress bars change from version to version, and say nothing while it waits for a
    download that another process has begun.
    """

    def __init__(self, child: Child, sizes: Mapping[str, int], watch: Watch) -> None:
        self._child = child
        self._sizes = sizes
        self._watch = watch
        self._before: int | None = None
        self._most = 0

    def __call__(self) -> int:
        """The most bytes so far: the same ones again and again are no sign of life."""
        messages = _messages(self._child.output())
        done = sum(self._sizes[message["file"]] for message in messages if "file" in message)
        for message in messages:
            if "folder" in message:
                growing = _half_done(Path(message["folder"]))
                self._before = growing if self._before is None else self._before
                done += max(0, growing - self._before)
        if done > self._most:
            total = sum(self._sizes.values())
            self._most = done
            self._watch.progress("download", min(done, total), total, "bytes")
        return self._most


def _half_done(folder: Path) -> int:
    """Bytes of the downloads that are under way in a folder of the client's cache."""
    total = 0
    for path in folder.glob("*.incomplete"):
        with contextlib.suppress(OSError):  # complete by now
            total += path.stat().st_size
    return total


def _answer(names: Sequence[str], output: str, ended: int | None, silence_s: float) -> Answer:
    messages = _messages(output)
    paths = {message["file"]: Path(message["path"]) for message in messages if "file" in message}
    missing = [name for name in names if name not in paths]
    if not missing:
        return Answer(paths)
    return Answer(paths, _why(output, ended, silence_s))


def _why(output: str, ended: int | None, silence_s: float) -> str:
    """Why there is nothing more, as a clause."""
    reasons = [message["reason"] for message in _messages(output) if "reason" in message]
    if ended is None:
        return f"sent nothing for {silence_s:g} s"
    last = (output.strip().splitlines() or ["no output"])[-1]
    return str(reasons[-1]) if reasons else f"its client ended with status {ended} ({last})"


def _messages(output: str) -> list[dict[str, Any]]:
    """The whole lines that are ours; the client writes warnings between them."""
    lines = [line for line in output.splitlines(keepends=True) if line.startswith('{"')]
    return [json.loads(line) for line in lines if line.endswith("}\n")]
