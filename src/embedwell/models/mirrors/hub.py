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
from embedwell.models.catalogue import ModelCard
from embedwell.models.mirrors import hub_child
from embedwell.models.mirrors.child import Child
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch


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
        request = {
            "repository": card.hub_id,
            "revision": card.revision,
            "names": list(names),
            "connect_s": self.connect_s,
        }
        child = Child(
            command=(sys.executable, "-P", "-m", hub_child.__name__),
            log=scratch.new("hub") / "log",
            silence_s=self.silence_s,
            request=json.dumps(request),
        )
        sizes = {name: card.files[name].size_bytes for name in names}
        report = _Report(child, sizes, watch)
        ended = child.run(report, watch)
        report()  # what came between the last look and its end
        return _answer(names, child.output(), ended, self.silence_s)


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
    reasons = [message["reason"] for message in messages if "reason" in message]
    if ended is None:
        reasons.append(f"sent nothing for {silence_s:g} s")
    elif not reasons:
        last = (output.strip().splitlines() or ["no output"])[-1]
        reasons.append(f"its client ended with status {ended} ({last})")
    return Answer(paths, reasons[-1])


def _messages(output: str) -> list[dict[str, Any]]:
    """The whole lines that are ours; the client writes warnings between them."""
    lines = [line for line in output.splitlines(keepends=True) if line.startswith('{"')]
    return [json.loads(line) for line in lines if line.endswith("}\n")]
