"""Several workers of this machine, each a process of its own, looked after by this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedwell.app.config.configuration import PREFIX, load
from embedwell.app.config.place import target_of
from embedwell.app.workers.duty import Duty, words_of
from embedwell.app.workers.fleet_member import Member
from embedwell.app.workers.fleet_rules import SOME_FAILED, Ended, next_step
from embedwell.app.workers.quota import share
from embedwell.core.errors import StoreError
from embedwell.core.events import Progress, Watch
from embedwell.jobs.work.identity import bury
from embedwell.stores.registry import open_store

_LOOK_EVERY_S, _TELL_EVERY_S = 0.2, 1.0
_GRACE_S = 30.0


@dataclass
class FleetReport:
    """How a fleet ended.

    Attributes:
        code: Its exit code.
        error: Why it ended, as `--json` tells errors; empty where nothing was wrong.
        workers: What each worker reported at its end, as `--json` does.
        n_restarts: Workers that were started again.
    """

    code: int = 0
    error: Mapping[str, object] = field(default_factory=dict)
    workers: list[Mapping[str, object]] = field(default_factory=list)
    n_restarts: int = 0


def run_fleet(
    path: Path,
    given: Mapping[str, Any],
    n_workers: int,
    duty: Duty,
    watch: Watch,
) -> FleetReport:
    """Keep workers running until they are done, or one says what cannot be mended by trying again.

    Args:
        path: The indexed folder, or one below it.
        given: Settings that this call chooses, such as `db` and `quantization`; None for those that
            it leaves as they are.
        n_workers: How many.
        duty: What each of them does.
        watch: Stops all of them.

    Raises:
        StoreNotFoundError: There is no index.
        SettingsError: A setting is wrong.
    """
    settings = load(dict(given), path).settings
    target = target_of(settings, path, create=False)
    # By the environment: everybody may read the words of a command, and an address has a password.
    chosen = {name: str(value) for name, value in given.items() if value is not None}
    own = {**chosen, "db": str(target), **share(settings, n_workers)}
    environment = os.environ | {PREFIX + name.upper(): value for name, value in own.items()}
    command = [sys.executable, "-m", "embedwell.cli.main", "work", str(path), *words_of(duty)]
    return Fleet(target, [*command, "--json", "--supervised"], environment, watch).run(n_workers)


class Fleet:
    """The processes of a fleet.

    Args:
        target: The store, whose leases are given back for those that die.
        command: Starts one; it ends when its standard input does.
        environment: Of each.
        watch: Stops all of them.
    """

    def __init__(
        self,
        target: Path | str,
        command: Sequence[str],
        environment: Mapping[str, str],
        watch: Watch,
    ) -> None:
        self._target = target
        self._command = command
        self._environment = environment
        self._watch = watch
        self._stays = "--once" not in command
        self._report = FleetReport()
        self._told_at = time.monotonic()

    def run(self, n_workers: int) -> FleetReport:
        """Run them to the end."""
        members = [Member(number, self._start) for number in range(1, n_workers + 1)]
        try:
            while any(not member.is_done for member in members):
                if self._watch.cancelled.wait(_LOOK_EVERY_S) or self._report.error:
                    break
                self._tell()
                for member in members:
                    self._look_after(member)
        finally:
            self._end(members)
        if self._watch.cancelled.is_set() and not self._report.error:
            self._report.code = 0 if self._stays else 130
        return self._report

    def _tell(self) -> None:
        """Have whoever draws look at the queue, in this thread."""
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._watch.listener(Progress("index", 0, None, "bytes"))

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def _look_after(self, member: Member) -> None:
        ended = member.poll()
        if ended is None:
            return
        self._count(ended)
        step = next_step(ended, stays=self._stays)
        if step.kind == "done":
            member.is_done = True
        elif step.kind == "end":
            self._report.code = ended.code or 1
            self._report.error = ended.error or step.error
        else:
            self._bury()
            self._report.n_restarts += 1
            member.start_in(step.after_s)

    def _count(self, ended: Ended) -> None:
        if ended.report:
            self._report.workers.append(ended.report)
        if ended.code == SOME_FAILED:
            self._report.code = SOME_FAILED

    def _bury(self) -> None:
        """Give back at once what dead workers had; else their leases end by themselves."""
        with suppress(StoreError), closing(open_store(self._target)) as store:
            bury(store.queue)

    def _end(self, members: Sequence[Member]) -> None:
        """Ask all to end, and make those end that do not."""
        for member in members:
            member.ask_to_end()
        until = time.monotonic() + _GRACE_S
        for member in members:
            if ended := member.wait(until - time.monotonic()):
                self._count(ended)
        self._bury()
