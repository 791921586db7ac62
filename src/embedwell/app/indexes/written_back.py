"""Columns beside an application's rows that get the vectors of what was indexed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from embedwell.core.errors import QueueError
from embedwell.core.events import Watch
from embedwell.jobs.index import Listing
from embedwell.jobs.write_back import write_back
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source
from embedwell.stores.registry import open_vectors
from embedwell.stores.rows import VectorColumn, VectorPlace


@contextmanager
def written_back(store: Store, listings: Sequence[Listing], watch: Watch) -> Iterator[None]:
    """Bring the columns of sources that have one up to date with what is done inside.

    They are looked at before, so that nothing is embedded for a column that cannot be used.

    Raises:
        QueueError: There is no such column, or it holds vectors of another length.
        StoreError: The application's database could not be written.
    """
    with ExitStack() as held:
        dimensions = store.settings.space.dimensions
        columns: list[tuple[Source, VectorColumn]] = []
        for source in (one.source for one in listings):
            if source.options.get("write_back"):
                column = open_vectors(source.place, _place_in(source), dimensions)
                columns.append((source, held.enter_context(closing(column))))
        yield
        for source, column in columns:
            write_back(store, source, column, watch)


def _place_in(source: Source) -> VectorPlace:
    table, dot, column = str(source.options["write_back"]).rpartition(".")
    if not (dot and table and column):
        raise QueueError(
            f"'{source.options['write_back']}' names no column.", "Write it as TABLE.COLUMN."
        )
    return VectorPlace(table, column, str(source.options["key"]))
