"""Every error that embedwell raises on purpose.

    EmbedwellError
     ├── TaskCancelledError         the caller asked to stop
     ├── SettingsError              one or more settings are wrong; all are listed
     ├── MissingExtraError          an optional package is needed and not installed
     ├── ModelError
     │    ├── UnknownModelError     no catalogue row of that name
     │    ├── WrongTaskError        a model that scores pairs was asked for vectors, or the reverse
     │    ├── ModelUnavailableError no mirror could give the files
     │    ├── ModelCacheError       the folder of model files is full or cannot be written
     │    ├── WrongBytesError       a file's hash or structure is not the expected one
     │    └── ConversionError       the weights cannot be made into an artifact
     ├── EngineError                an artifact did not load or run
     │    └── EngineMemoryError     the system gave it no more memory
     ├── OverBudgetError            a model does not fit the memory budget
     │    └── CodeMemoryError       the process is too large for the code model too; text goes on
     ├── PressureError              memory is nearly full: nothing more is loaded for now
     ├── EmbeddingsOffError         the settings switch embeddings off
     ├── ServiceError
     │    ├── ServiceGoneError      no service answers, or it went away in the middle
     │    ├── ServiceBusyError      it has too much to do; the error says when to come back
     │    │    └── ServiceStoppingError   it is being stopped and takes no more work
     │    ├── ServiceStartError     the service cannot start: its address is taken or not allowed
     │    ├── ServiceSlowError      a request took longer than the service allows
     │    ├── AccessDeniedError     its key, its host or the page that sent it is not allowed
     │    └── BadRequestError       the service does not take what it was sent
     │         ├── RequestTooLargeError   it is larger than the service allows
     │         └── NoSuchRouteError  the service has no such path, or not this method for it
     ├── RemoteError                something about a server that another program runs
     │    ├── RemoteGoneError       none answers there, or it went away in the middle
     │    ├── RemoteBusyError       it is overloaded or limits the rate; it may say for how long
     │    ├── RemoteSlowError       it took longer than `remote_timeout_s`
     │    ├── RemoteRefusedError    it refuses: a wrong key, no such model, a text it cannot take
     │    ├── RemoteAnswerError     what it answers is not what it was asked for
     │    └── RemoteChangedError    it serves another model than before under the same name
     ├── BadTextsError              some texts of a batch could not be embedded
     ├── BadVectorError             NaN, infinite, zero or of another length
     ├── ExtractionError            a file could not be turned into text
     ├── ExtractorStartError        the program that extracts files does not start
     ├── SpaceMismatchError         vectors of two spaces would have been compared
     │    ├── DriftError            a build's vectors are too far from those in the store
     │    └── SpaceMovedError       the store has gone over to another space meanwhile
     ├── MigrationError             a store cannot go over to another space as asked
     ├── QueryError                 a search that cannot be run as asked
     ├── QueueError                 no such source, run or row, or its name is taken
     ├── CanaryError                a run checked itself and stopped; the message says why
     └── StoreError
          ├── StoreNotFoundError    no index there
          ├── ForeignStoreError     a database, but not one of embedwell's
          ├── NewerStoreError       written by a newer embedwell
          ├── StoreBusyError        another process is writing
          ├── StoreGoneError        the database server cannot be reached, or went away
          ├── StoreSetupError       the database lacks an extension, a version or a right
          ├── StoreFullError        the disk is full
          └── StoreReadOnlyError    the file or folder cannot be written

Each message says what was wrong, what was expected and what to do now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedwell.core.embedded import Embedded


class EmbedwellError(Exception):
    """Base of all errors raised on purpose.

    Args:
        problem: What was wrong and what was expected, in one sentence.
        remedy: What the reader can do now, in one sentence.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class TaskCancelledError(EmbedwellError):
    """The caller asked a long task to stop; nothing half-done was left behind."""

    def __init__(self, task: str) -> None:
        super().__init__(f"{task} was cancelled.", "Run it again to go on.")


class SettingsError(EmbedwellError):
    """One or more settings are wrong; the message lists every one of them."""


class MissingExtraError(EmbedwellError):
    """An optional package is needed and not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the extra '{extra}', which is not installed.",
            f'Install it with: pip install "embedwell[{extra}]".',
        )


class ModelError(EmbedwellError):
    """Something about a model, its files or its artifact."""


class UnknownModelError(ModelError):
    """No catalogue row of that name."""


class WrongTaskError(ModelError):
    """A model that scores pairs of texts was asked for vectors, or the reverse."""

    def __init__(self, model: str, head: str) -> None:
        if head == "rerank":
            problem = f"'{model}' scores pairs of texts and gives no vectors."
            remedy = "Name it to rerank (`search --rerank`), and a model of vectors here."
        else:
            problem = f"'{model}' gives vectors and scores no pairs of texts."
            remedy = "Name a model that reranks; docs/reranking.md lists them."
        super().__init__(problem, remedy)


class ModelUnavailableError(ModelError):
    """No mirror could give the model's files; the message lists what each one said."""


class ModelCacheError(ModelError):
    """The folder of model files and artifacts is full or cannot be written."""


class WrongBytesError(ModelError):
    """A file's hash or structure is not the expected one."""


class ConversionError(ModelError):
    """The weights cannot be made into an artifact."""


class EngineError(EmbedwellError):
    """An artifact did not load or run."""


class EngineMemoryError(EngineError):
    """The system gave an engine no more memory; with less at once it may work."""


class OverBudgetError(EmbedwellError):
    """A model does not fit the memory budget."""


class CodeMemoryError(OverBudgetError):
    """The process is too large for the code model beside the text model, which goes on."""


class PressureError(EmbedwellError):
    """Memory is nearly full: nothing more is loaded until others have given some back."""


class EmbeddingsOffError(EmbedwellError):
    """The settings switch embeddings off."""


class ServiceError(EmbedwellError):
    """Something about the machine's embedding service."""


class ServiceGoneError(ServiceError):
    """No service answers, or it went away in the middle of a request."""


class ServiceBusyError(ServiceError):
    """The service has too much to do, or too little memory, at the moment.

    Attributes:
        retry_after_s: Seconds after which it is worth asking again.
    """

    def __init__(self, problem: str, remedy: str, retry_after_s: float = 1.0) -> None:
        super().__init__(problem, remedy)
        self.retry_after_s = retry_after_s


class ServiceStoppingError(ServiceBusyError):
    """The service is being stopped: it finishes what it has and takes no more."""

    def __init__(
        self,
        problem: str = "The service is stopping and takes no more work.",
        remedy: str = "Ask again once it has been started anew.",
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(problem, remedy, retry_after_s)


class ServiceStartError(ServiceError):
    """The service cannot start: its address is taken, or not allowed."""


class ServiceSlowError(ServiceError):
    """A request took longer than the service allows."""


class AccessDeniedError(ServiceError):
    """A request's key, host or page of origin is not allowed."""


class BadRequestError(ServiceError):
    """The service does not take what it was sent."""


class RequestTooLargeError(BadRequestError):
    """A request is larger than the service allows."""


class NoSuchRouteError(BadRequestError):
    """The service has no such path, or does not take this method there."""


class RemoteError(EmbedwellError):
    """Something about a server that another program runs, and that embeds for us."""


class RemoteGoneError(RemoteError):
    """No server answers at the address, or it went away in the middle of a request."""


class RemoteBusyError(RemoteError):
    """A server is overloaded, or takes no more requests of ours for now.

    Attributes:
        retry_after_s: Seconds after which it is worth asking again; 0 where it does not say.
    """

    def __init__(self, problem: str, remedy: str, retry_after_s: float = 0.0) -> None:
        super().__init__(problem, remedy)
        self.retry_after_s = retry_after_s


class RemoteSlowError(RemoteError):
    """A server took longer than the settings allow."""


class RemoteRefusedError(RemoteError):
    """A server refuses a request.

    Attributes:
        said: Why, in its own words.
        is_of_texts: Whether other texts, or fewer of them, may be taken.
        is_passing: Whether the same request may be taken a moment later.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        said: str,
        *,
        is_of_texts: bool = False,
        is_passing: bool = False,
    ) -> None:
        super().__init__(problem, remedy)
        self.said = said
        self.is_of_texts = is_of_texts
        self.is_passing = is_passing


class RemoteAnswerError(RemoteError):
    """What a server answers is not what it was asked for."""


class RemoteChangedError(RemoteError):
    """A server serves another model than before under the same name."""


class BadTextsError(EmbedwellError):
    """Some texts of a batch could not be embedded; the others were, and are here.

    Attributes:
        failures: Reason by position in the batch.
        vectors: float32, shape (n, d); NaN in the rows that failed.
        embedded: The same with the token counts of all texts.
    """

    def __init__(self, failures: Mapping[int, str], embedded: Embedded) -> None:
        vectors = embedded.vectors
        first, reason = next(iter(failures.items()))
        super().__init__(
            f"{len(failures)} of {len(vectors)} texts could not be embedded "
            f"(text {first}: {reason}).",
            "Mend or leave out the texts named in `.failures`; `.vectors` holds the others.",
        )
        self.failures = dict(failures)
        self.embedded = embedded
        self.vectors = vectors


class BadVectorError(EmbedwellError):
    """A vector is NaN, infinite, all zero or of another length."""


class ExtractionError(EmbedwellError):
    """A file could not be turned into text."""


class ExtractorStartError(EmbedwellError):
    """The program that extracts files does not start, whatever the file."""

    def __init__(self, status: int, command: str) -> None:
        super().__init__(
            f"The program that extracts files does not start (exit status {status}).",
            f"Run `python {command}` to see why, or raise `extraction_memory`.",
        )


class SpaceMismatchError(EmbedwellError):
    """Vectors of two spaces would have been compared."""


class DriftError(SpaceMismatchError):
    """A build gave vectors too far from those in the store; see docs/handshake.md.

    Attributes:
        details: What was measured of whom, for programs: values that JSON has.
    """

    def __init__(
        self, problem: str, remedy: str, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(problem, remedy)
        self.details = dict(details or {})


class SpaceMovedError(SpaceMismatchError):
    """The store has gone over to another space meanwhile; open it again."""


class MigrationError(EmbedwellError):
    """A store cannot go over to another space as asked."""


class QueryError(EmbedwellError):
    """A search that cannot be run as asked."""


class QueueError(EmbedwellError):
    """There is no such source, run or queued row, or its name is taken."""


class CanaryError(EmbedwellError):
    """A run checked itself after its first documents and stopped.

    Attributes:
        report: What it found; values that JSON has.
    """

    def __init__(self, problem: str, remedy: str, report: Mapping[str, object]) -> None:
        super().__init__(problem, remedy)
        self.report = dict(report)


class StoreError(EmbedwellError):
    """Something about a store."""


class StoreNotFoundError(StoreError):
    """There is no index at that place."""


class ForeignStoreError(StoreError):
    """The file is not an embedwell index."""


class NewerStoreError(StoreError):
    """The store was written by a newer embedwell."""


class StoreBusyError(StoreError):
    """Another process is writing to the store."""


class StoreGoneError(StoreError):
    """The database server cannot be reached, or went away."""


class StoreSetupError(StoreError):
    """The database lacks an extension, a version or a right that the store needs."""


class StoreFullError(StoreError):
    """There is no room left for the store."""


class StoreReadOnlyError(StoreError):
    """The store or its folder cannot be written."""
