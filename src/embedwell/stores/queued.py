"""What goes into a queue and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pending", "leased", "done", "failed", "skipped", "dead"]
"""`pending`: waits. `leased`: a worker has it. `done`: stored. `failed`: cannot be read; tried
again when it changes. `skipped`: nothing had to be done. `dead`: given up after several tries."""

RunStatus = Literal["running", "checking", "stopped", "done"]
"""`checking`: the canary looks, nobody claims. `stopped`: the canary, or a person, said so."""

LOST_ALONE = 3
"""Claims of a row that were lost before it is handed out alone, after all others: it may be what
kills its workers."""
LOST_DEAD = 10
"""Lost claims after which a row is given up."""


@dataclass(frozen=True)
class Source:
    """Where documents come from.

    Attributes:
        number: Its name in this store.
        kind: `folder`, `paths`, `records`, `sql`, or what a package registers.
        name: For people; unique in the store.
        prefix: What its documents' keys begin with: nothing for the first source of a store,
            `name:` for others.
        place: An absolute path or an address without its password; empty for the folder that the
            index lies in.
        host: The machine that listed it last.
        options: What else it was asked for with, such as patterns; values that JSON has.
    """

    number: int
    kind: str
    name: str
    prefix: str
    place: str
    host: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)  # a sweep holds one for each file
class Item:
    """A file or a record as its source lists it.

    Attributes:
        key: The key of its document, with the source's prefix.
        format: Name of its format, such as `markdown`: what took how long is told by it.
        size_bytes: Size of the file, or of the record's text.
        mtime_ns: Modification time; where there is none, a number made of the content.
        payload: What the source needs to read it, where the key is not enough; JSON.
        anew: Whether it is cut and stored anew even if its bytes are those that are stored.
    """

    key: str
    format: str
    size_bytes: int
    mtime_ns: int
    payload: str = ""
    anew: bool = False


@dataclass(frozen=True)
class Task:
    """A claimed row.

    Attributes:
        id: Its number in the queue.
        source: Number of its source.
        run: Number of its run.
        item: What is to be read.
        attempt: Which claim of the row this is: the same row claimed again has another.
        failures: How often it was tried and failed before.
        sha256: Hash of the document's bytes as stored; empty where there is none.
        worker: Who claimed it.
    """

    id: int
    source: int
    run: int
    item: Item
    attempt: int
    failures: int
    sha256: str
    worker: str


@dataclass(frozen=True)
class Times:
    """Seconds that the stages took for one document: its share, where a batch shares them."""

    read_s: float = 0.0
    extract_s: float = 0.0
    chunk_s: float = 0.0
    embed_s: float = 0.0
    write_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: Which.
        status: Its row's new status; `pending` where it is to be tried again.
        error: Why it failed or was skipped; empty when done.
        retry_s: Seconds before it may be tried again, where it is pending; an hour at most.
        n_chunks: Chunks that were stored.
        n_tokens: Tokens that were embedded for it.
        times: How long it took.
    """

    task: Task
    status: Literal["pending", "done", "failed", "skipped", "dead"]
    error: str = ""
    retry_s: float = 0.0
    n_chunks: int = 0
    n_tokens: int = 0
    times: Times = Times()


@dataclass(frozen=True)
class Run:
    """From the first queued row to the last finished one. A store has one open run at most.

    Attributes:
        number: Its name in this store.
        status: See `RunStatus`; all but `done` are open.
        started_at: Seconds since 1970, by the database's clock.
        ended_at: The same; None while it is open.
        canary_at: Finished rows at which it pauses and checks itself next; 0 for never.
        rehearsal: Whether it stops after the first check, whatever that says.
        n_done: Rows that were stored.
        n_failed: Rows that failed or were given up.
        n_skipped: Rows of which nothing had to be stored.
        n_empty: Stored ones that had no text: they have no chunk.
        n_chunks: Chunks that were stored.
        n_tokens: Tokens that were embedded.
        n_bytes: Bytes of the finished rows.
        reason: Why it is stopped; empty else.
        report: What the last check found; values that JSON has.
    """

    number: int
    status: RunStatus
    started_at: float
    ended_at: float | None
    canary_at: int
    rehearsal: bool
    n_done: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    n_empty: int = 0
    n_chunks: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    reason: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_finished(self) -> int:
        """Rows that are through, whatever became of them."""
        return self.n_done + self.n_failed + self.n_skipped


@dataclass(frozen=True)
class Worker:
    """A process that works for a store.

    Attributes:
        name: Unique: machine, process and a random part.
        host: Its machine.
        pid: Its process there.
        started_at: Seconds since 1970, by the database's clock.
        seen_at: When it last said that it lives.
        state: `starting`, `working`, `waiting`, `checking`, `stopping`, for people.
        n_done: Documents that it stored.
        n_failed: Rows of its that failed.
        n_chunks: Chunks that it stored.
        rss_bytes: Its resident memory, its extractor's included.
        proved: For which check it proved its embedder anew (`Run.canary_at`), 0 for none.
        error: What it last complained of; empty when all is well.
    """

    name: str
    host: str
    pid: int
    started_at: float = 0.0
    seen_at: float = 0.0
    state: str = "starting"
    n_done: int = 0
    n_failed: int = 0
    n_chunks: int = 0
    rss_bytes: int = 0
    proved: int = 0
    error: str = ""


@dataclass(frozen=True)
class Lately:
    """Rows that finished since a moment.

    Attributes:
        n: Rows.
        n_bytes: Their sizes together.
        seconds: What all stages took for them together.
        n_chunks: Their chunks.
        began_at: When the first of them was claimed, in seconds since 1970; None where there are
            none.
        ended_at: When the last of them finished; the same.
    """

    n: int = 0
    n_bytes: int = 0
    seconds: float = 0.0
    n_chunks: int = 0
    began_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Tally:
    """How many rows of one status and format there are.

    Attributes:
        status: The status.
        format: The format.
        n: Rows.
        n_bytes: Their sizes together.
        seconds: What all stages took for them together.
        n_chunks: Their chunks.
        lately: Those of them that were last finished since the moment that was asked for.
    """

    status: Status
    format: str
    n: int
    n_bytes: int
    seconds: float
    n_chunks: int
    lately: Lately = Lately()


@dataclass(frozen=True)
class Entry:
    """A row of the queue, for people and for comparing.

    Attributes:
        item: What it is.
        source: Name of its source.
        status: Its status.
        failures: How often it failed.
        losses: How often its worker was lost.
        error: Why it failed last.
        worker: Who has it, or had it last.
        run: Number of its run.
    """

    item: Item
    source: str
    status: Status
    failures: int
    losses: int
    error: str
    worker: str
    run: int


@dataclass(frozen=True)
class Which:
    """Which rows of the queue, or documents, are meant. Empty fields do not restrict.

    Attributes:
        source: Name of a source.
        run: Number of a run.
        statuses: Statuses of rows.
    """

    source: str = ""
    run: int = 0
    statuses: tuple[Status, ...] = ()


@dataclass(frozen=True)
class Purged:
    """What a purge takes away.

    Attributes:
        rows: How many rows by table, for people.
        n_bytes: About how many bytes they take; 0 where the database cannot tell.
    """

    rows: Mapping[str, int]
    n_bytes: int


@dataclass(frozen=True)
class Metrics:
    """How far one worker was at one moment of a run: a row of `ingestion_metrics`.

    Counts are since the worker joined the run.
    """

    run: int
    worker: str
    at: float
    seconds: float
    n_done: int
    n_failed: int
    n_skipped: int
    n_chunks: int
    n_tokens: int
    n_bytes: int
    rss_bytes: int


def next_check(canary_at: int) -> int:
    """When a run is checked again after a check: at the next power of ten.

    Args:
        canary_at: Finished rows at which it was checked.
    """
    power = 10
    while power <= canary_at:
        power *= 10
    return power
