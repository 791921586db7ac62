"""Keep an index up to date with folders that change: `embedwell index --watch`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from embedwell.app.indexes.index import Index
from embedwell.core.errors import (
    EmbedwellError,
    QueueError,
    StoreBusyError,
    StoreGoneError,
    StoreNotFoundError,
)
from embedwell.core.events import Watch
from embedwell.jobs.sweeping import watching

# It will pass, or a person will mend it: the next sweep sees.
_PASSING = (QueueError, StoreBusyError, StoreGoneError)
# A folder that was never there is a mistake, one that was there comes back.
_PASSING_LATER = (*_PASSING, StoreNotFoundError)


def follow(
    index: Index, update: Callable[[], None], watch: Watch, tell: Callable[[str], None]
) -> None:
    """Update an index now, at each change of its folders and now and then.

    Args:
        index: Which.
        update: Sweeps and works.
        watch: Stops it.
        tell: Told, for people, how changes are noticed, and what is in the way.

    Raises:
        TaskCancelledError: `watch` was asked to stop in the middle of an update.
        CanaryError: The run checked itself and stopped.
    """

    def update_or_wait(passing: tuple[type[EmbedwellError], ...]) -> None:
        try:
            update()
        except passing as error:
            tell(_sentence(error))

    update_or_wait(_PASSING)  # which makes a source of a new folder
    folders = [place for place in _folders(index) if place.is_dir()]
    index_file = index.target if isinstance(index.target, Path) else None
    with closing(watching.Notices(folders, index_file)) as notices:
        told: list[str] = []

        def update_and_tell() -> None:
            update_or_wait(_PASSING_LATER)  # what changed before anybody listened
            if notices.problem not in told:
                told.append(notices.problem)
                tell(_manner(notices))

        watching.follow(update_and_tell, notices, watch)


def _folders(index: Index) -> list[Path]:
    """Where the files of its sources are."""
    home = index.folder or Path()
    kinds = [source for source in index.sources() if source.kind == "folder"]
    return [Path(source.place) if source.place else home for source in kinds]


def _manner(notices: watching.Notices) -> str:
    every = f"everything is looked at every {notices.every_s / 60:.0f} min"
    if notices.problem:
        return f"Changes are not told: {notices.problem}; {every}."
    return f"Watching for changes; {every} as well."


def _sentence(error: EmbedwellError) -> str:
    return f"{error.problem} {error.remedy} Trying again later."
