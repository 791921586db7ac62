"""A column of vectors of an application's own, moved to another model: `embedwell.adopt_column`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from embedwell.app.config.configuration import application_database, load
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.connect import Connect
from embedwell.app.embedding.connect import connect as connect_model
from embedwell.app.indexes.migration import Target, target_named
from embedwell.core.errors import DriftError, MigrationError, StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.handshake.column import ColumnEmbedder
from embedwell.jobs import column as job
from embedwell.jobs.column import ColumnPlan, ColumnReport
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.columns import ColumnPlace, ColumnSpace, ColumnStore
from embedwell.stores.registry import open_column, store_kind


class AdoptedColumn:
    """A column of vectors in a table of an application's own, which goes on using it.

    Made by `embedwell.adopt_column`. Belongs to one thread.

    Args:
        column: The column.
        settings: How models run.
        connect: Makes an embedder.
    """

    def __init__(
        self, column: ColumnStore, settings: Settings, connect: Connect = connect_model
    ) -> None:
        self._column = column
        self._settings = settings
        self._connect = connect

    def spaces(self) -> list[ColumnSpace]:
        """What is known of its vectors: which model made those that embedwell wrote."""
        return self._column.spaces()

    def plan(self, to: str, watch: Watch | None = None) -> ColumnPlan:
        """Look at what moving it would take: rows, time and disk; nothing is written.

        Args:
            to: The model, such as `all-MiniLM-L6-v2@q8`.
            watch: Told of progress while the model is made ready.

        Raises:
            MigrationError: It cannot be moved; the message says what is in the way.
            StoreSetupError: A right is missing.
            ModelError: The model cannot be had, or its bytes are wrong.
        """
        watch = watch or Watch()
        target = self._target(to, watch)
        self._begun(target, watch)
        job.check(self._column, target.space)
        embedder = self._connect(target.settings, watch)
        try:
            return job.plan(self._column, target.space, embedder)
        finally:
            embedder.close()

    def migrate(
        self,
        to: str,
        *,
        keep_old: bool = False,
        rows_per_s: float = 0.0,
        watch: Watch | None = None,
    ) -> ColumnReport:
        """Move it to another model while the application reads and writes; goes on where it was.

        The new vectors are made in a column beside it, checked and indexed; then one short
        transaction puts it in the place of the old one.

        Args:
            to: The model, such as `all-MiniLM-L6-v2@q8`.
            keep_old: Keep the old vectors beside the new ones, for `roll_back`.
            rows_per_s: Most rows embedded in a second; 0 for as many as can be.
            watch: Told of progress, asked to stop: what was written is kept.

        Raises:
            MigrationError: It cannot be moved as asked.
            DriftError: The build here does not give the vectors that were begun elsewhere.
            StoreBusyError: Another process moves it, or the application never lets go of the table.
            TaskCancelledError: `watch` was asked to stop.
        """
        watch = watch or Watch()
        with self._column.locked():
            self._column.finish(watch)
            target = self._target(to, watch)
            begun = self._begun(target, watch)
            facts = job.check(self._column, target.space)
            if keep_old and facts.has_kept:
                raise MigrationError(
                    f"Earlier vectors of {self._column.shown} are kept already.",
                    "Drop them first: `--drop kept`.",
                )
            embedder = self._connect(target.settings, watch)
            try:
                space = begun or self._column.begin(target.space, target.artifact, watch)
                proven = self._proven(embedder, space)
                return job.migrate_column(
                    self._column, proven, watch, keep_old=keep_old, rows_per_s=rows_per_s
                )
            finally:
                embedder.close()

    def roll_back(self, watch: Watch | None = None) -> None:
        """Exchange it and the vectors that a migration has kept.

        Raises:
            MigrationError: None were kept, or rows were written since.
        """
        watch = watch or Watch()
        with self._column.locked():
            self._column.finish(watch)
            self._column.roll_back(watch)

    def drop(self, role: Literal["next", "kept"], watch: Watch | None = None) -> None:
        """Drop the vectors of a migration that was begun, or those that were kept.

        Raises:
            MigrationError: There are none.
        """
        watch = watch or Watch()
        with self._column.locked():
            self._column.finish(watch)
            self._column.drop(role, watch)

    def close(self) -> None:
        """Close the connection."""
        self._column.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begun(self, target: Target, watch: Watch) -> ColumnSpace | None:
        """What there is of it; see `jobs.column.begun`."""

        def gives_others(main: ColumnSpace) -> bool:
            embedder = self._connect(target.settings, watch)
            try:
                self._proven(embedder, main).embed(["Who is it now?"], watch)
            except DriftError:
                return True
            finally:
                embedder.close()
            return False

        return job.begun(self._column, target.space, target.artifact, gives_others)

    def _proven(self, embedder: TextEmbedder, space: ColumnSpace) -> ColumnEmbedder:
        return ColumnEmbedder(
            embedder,
            space.reference,
            lambda first: self._column.refer(space.number, first),
            self._settings.accept_drift,
            self._column.shown,
        )

    def _target(self, to: str, watch: Watch) -> Target:
        """Where it goes; one that was begun goes on with its quantization."""
        target = target_named(self._settings, to, watch)
        if "@" not in to:
            for one in self._column.spaces():
                if one.role == "next" and one.space == target.space:
                    return target_named(self._settings, one.artifact, watch)
        return target


def adopt_column(
    table: str,
    column: str,
    *,
    text: str | Sequence[str] = (),
    key: str | Sequence[str] = (),
    db: str | None = None,
) -> AdoptedColumn:
    """Move a column of vectors in an application's own table to another model.

    Args:
        table: Its table, with or without its schema.
        column: The column, of pgvector's type `vector` or `halfvec`.
        text: The columns that are embedded; several are joined by lines.
        key: The columns that tell rows apart; the primary key if left out.
        db: Address of the database; else that of the settings, else `DATABASE_URL`.

    Raises:
        MigrationError: There is no such table or column, or it cannot be moved.
        StoreError: The database cannot be reached, or does not let us look.
        SettingsError: A setting is wrong, or the address.
        MissingExtraError: The extra `postgres` is not installed.

    Example:
        >>> with embedwell.adopt_column("mir_synonyms", "embedding", text="term") as synonyms:
        ...     synonyms.migrate("all-MiniLM-L6-v2", keep_old=True)
    """
    settings = load({"db": db}).settings
    texts = (text,) if isinstance(text, str) else tuple(text)
    keys = (key,) if isinstance(key, str) else tuple(key)
    place = ColumnPlace(table, column, texts, keys)
    return AdoptedColumn(open_column(_address(settings, db), place), settings)


def _address(settings: Settings, db: str | None) -> str:
    for named in (db, settings.db, settings.database_url, application_database()):
        if named and (named == db or store_kind(named) != "sqlite"):
            return named
    raise StoreNotFoundError(
        "No database server is named.",
        "Name it with --db postgresql://…, or in EMBEDWELL_DATABASE_URL or DATABASE_URL.",
    )
