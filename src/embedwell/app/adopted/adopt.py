"""Search in an application's own SQLite file: `embedwell.adopt("app.db", …)`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from embedwell.app.config.configuration import load
from embedwell.app.embedding.connect import connect
from embedwell.app.models.choose import AUTO
from embedwell.app.models.obtain import named
from embedwell.core.build import BuildRecord
from embedwell.core.errors import QueryError, SettingsError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.handshake.adopted import N_TEXTS, agreement, check_agreement
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.foreign.tables import Place, TextPlace
from embedwell.stores.foreign.vectors import ForeignVectors, Neighbour

_log = logging.getLogger("embedwell")
_LEAST_TEXTS = 2  # to know how far apart the vectors of different texts are


@dataclass(frozen=True)
class AdoptedResult:
    """A row of the application's table.

    Attributes:
        id: The application's own id.
        score: Cosine of its vector to the query's, -1 to 1.
        text: Its text as it is now; None where no text was named, or it has none.
    """

    id: Any
    score: float
    text: str | None


class Adopted:
    """Vectors that an application keeps in its own SQLite file, searched where they are.

    Made by `embedwell.adopt`. Nothing is copied but compact codes into memory, and nothing is ever
    written; what the application writes meanwhile is found by the next search. Belongs to one
    thread.

    Args:
        vectors: The application's table.
        place: What it is called, for people.
        space: The space that the vectors should be of.
        open_embedder: Gives the embedder of that space, once it is needed.
        accept_drift: Names of artifacts that are let in up to the wide bounds.

    Attributes:
        space: The space that the vectors should be of.
        proof: What is known of that, in a sentence; empty before the first search.
    """

    def __init__(
        self,
        vectors: ForeignVectors,
        place: str,
        space: Space,
        open_embedder: Callable[[], TextEmbedder],
        accept_drift: Sequence[str] = (),
    ) -> None:
        self.space = space
        self.proof = ""
        self._vectors = vectors
        self._place = place
        self._open_embedder = open_embedder
        self._accept_drift = accept_drift
        self._embedder: TextEmbedder | None = None
        self._proven: set[str] = set()

    @property
    def form(self) -> str:
        """How the vectors are stored: `float32`, `JSON text`, …; empty while there are none."""
        return self._vectors.form

    @property
    def skipped(self) -> int:
        """Rows without a usable vector, as of the last search: NULL, NaN, zero, wrong length."""
        return self._vectors.skipped

    def __len__(self) -> int:
        """Rows that can be found, as of the last search."""
        return len(self._vectors)

    def search(self, query: str, k: int = 10) -> list[AdoptedResult]:
        """Find the rows whose vectors are nearest to a question.

        The first search proves the model: where texts were named, some are embedded again and
        compared with what is stored.

        Args:
            query: The question.
            k: Most results.

        Raises:
            QueryError: The query is empty.
            DriftError: The stored vectors are not what this model makes of their texts.
            StoreError: The file cannot be read.
            ModelError: The model cannot be had, or its bytes are wrong.
        """
        if not query.strip():
            raise QueryError("The query is empty.", "Ask something.")
        return self.nearest(self._embedded(query), k)

    def nearest(self, vector: FloatArray, k: int = 10) -> list[AdoptedResult]:
        """Find the rows whose vectors are nearest to one of your own; nothing is proven.

        Args:
            vector: float32, shape (d,).
            k: Most results.

        Raises:
            BadVectorError: The vector is NaN, infinite, zero or of another length.
            StoreError: The file cannot be read.
        """
        found: list[Neighbour] = self._vectors.nearest(vector, k)
        texts = self._vectors.texts([one.id for one in found])
        return [AdoptedResult(one.id, one.score, texts.get(one.id)) for one in found]

    def close(self) -> None:
        """Let go of the file and of the model."""
        self._vectors.close()
        if self._embedder is not None:
            self._embedder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _embedded(self, query: str) -> FloatArray:
        if self._embedder is None:
            self._embedder = self._open_embedder()
        while True:  # with the service, another build may answer than the one that was proven
            found = self._embedder.embed([query], "query", Watch())
            if found.build.key in self._proven:
                vector: FloatArray = found.vectors[0]
                return vector
            self._prove(found.build, self._embedder)

    def _prove(self, build: BuildRecord, embedder: TextEmbedder) -> None:
        """Measure a build, or say that this cannot be done; it is remembered as proven."""
        stored, texts = self._vectors.sample(N_TEXTS)
        if len(texts) >= _LEAST_TEXTS:
            found = agreement(stored, texts, embedder, Watch())
            check_agreement(found, self._accept_drift, self._place)
            self.proof = f"{found}."
            self._proven.add(found.build.key)
            return
        why = "no column with their texts was named"
        if self._vectors.has_texts:
            why = "there are too few texts with a vector"
        self.proof = (
            f"Nothing proves that the vectors of {self._place} are {self.space.model}'s: {why}."
        )
        _log.warning("%s", self.proof)
        self._proven.add(build.key)


def adopt(
    file: str | Path,
    table: str,
    *,
    id: str,  # noqa: A002 - what the column is called nearly everywhere
    vector: str,
    where: Mapping[str, Any] | None = None,
    text: str | tuple[str, str, str] | None = None,
    model: str | None = None,
    quantization: str | None = None,
) -> Adopted:
    """Search vectors that an application keeps in its own SQLite file.

    The table is a plain one, with vectors as blobs of float32, float16 or float64 or as JSON
    lists, or one of the sqlite-vec extension (`USING vec0`), which need not be installed.

    Args:
        file: The application's file; it is only read, also while the application writes.
        table: The table that has the vectors.
        id: Its column with the application's own ids.
        vector: Its column with the vectors.
        where: Columns and the values that rows must have, such as
            `{"embedding_type": "summary"}`; None stands for NULL.
        text: Where the embedded texts are: a column of the table, or another table, its column
            with the ids, and its column with the texts. They prove the model, and come with
            results.
        model: The model that made the vectors; the one of the settings if left out.
        quantization: `q4`, `q8`, `q16` or `q32`.

    Raises:
        StoreNotFoundError: There is no such file.
        ForeignStoreError: It is not an SQLite database.
        StoreError: The table or a column is not there, or the file cannot be read.
        SpaceMismatchError: The vectors have another length than the model's.
        SettingsError: A setting is wrong.

    Example:
        >>> notes = embedwell.adopt("notes.db", "embeddings", id="entry_id", vector="embedding")
        >>> [result.id for result in notes.search("how are retries configured")]
        ['n7', 'n2']
    """
    settings = load({"model": model, "quantization": quantization}).settings
    if settings.model == AUTO:
        raise SettingsError(
            "`model = auto` does not say which model made the vectors.", "Name it with `model=`."
        )
    where_text = TextPlace(text) if isinstance(text, str) else None
    if isinstance(text, tuple):
        where_text = TextPlace(table=text[0], key=text[1], column=text[2])
    place = Place(table, id, vector, where or {}, where_text)
    space = named(settings, settings.model, Watch())[0].space
    return Adopted(
        ForeignVectors(Path(file), place, space.dimensions),
        f"'{table}.{vector}' in {file}",
        space,
        partial(connect, settings, Watch()),
        settings.accept_drift,
    )
