"""embedwell: embeddings that fit the machine, and never silently disagree.

    import embedwell

    index = embedwell.open("my-folder")
    index.add_folder()
    for result in index.search("how are retries configured").results:
        print(result.score, result.chunk.key, result.chunk.chunk.start_line)

This page is the whole public API; names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from embedwell.app.adopted.adopt import Adopted, AdoptedResult, adopt
    from embedwell.app.adopted.column import AdoptedColumn, adopt_column
    from embedwell.app.embedding.domains import EmbeddingDomain
    from embedwell.app.embedding.dual import DualEmbeddingService, DualEmbeddingServiceAdapter
    from embedwell.app.embedding.embedder import Embedder, TruncationWarning
    from embedwell.app.embedding.reranker import Reranker
    from embedwell.app.embedding.runtime import Runtime
    from embedwell.app.indexes.index import Index
    from embedwell.app.indexes.opening import open_index as open
    from embedwell.app.indexes.ray_data import ParquetReport, index_parquet
    from embedwell.core.errors import BadTextsError, EmbedwellError
    from embedwell.core.events import Event, Progress, Watch
    from embedwell.core.space import Space
    from embedwell.jobs.index import IndexReport
    from embedwell.search.results import SearchResult, SearchResults

__all__ = [
    "Adopted",
    "AdoptedColumn",
    "AdoptedResult",
    "BadTextsError",
    "DualEmbeddingService",
    "DualEmbeddingServiceAdapter",
    "Embedder",
    "EmbeddingDomain",
    "EmbedwellError",
    "Event",
    "Index",
    "IndexReport",
    "ParquetReport",
    "Progress",
    "Reranker",
    "Runtime",
    "SearchResult",
    "SearchResults",
    "Space",
    "TruncationWarning",
    "Watch",
    "adopt",
    "adopt_column",
    "index_parquet",
    "open",
]

_PLACES = {
    "Adopted": "app.adopted.adopt:Adopted",
    "AdoptedColumn": "app.adopted.column:AdoptedColumn",
    "AdoptedResult": "app.adopted.adopt:AdoptedResult",
    "BadTextsError": "core.errors:BadTextsError",
    "DualEmbeddingService": "app.embedding.dual:DualEmbeddingService",
    "DualEmbeddingServiceAdapter": "app.embedding.dual:DualEmbeddingServiceAdapter",
    "Embedder": "app.embedding.embedder:Embedder",
    "EmbeddingDomain": "app.embedding.domains:EmbeddingDomain",
    "EmbedwellError": "core.errors:EmbedwellError",
    "Event": "core.events:Event",
    "Index": "app.indexes.index:Index",
    "IndexReport": "jobs.index:IndexReport",
    "ParquetReport": "app.indexes.ray_data:ParquetReport",
    "Progress": "core.events:Progress",
    "Reranker": "app.embedding.reranker:Reranker",
    "Runtime": "app.embedding.runtime:Runtime",
    "SearchResult": "search.results:SearchResult",
    "SearchResults": "search.results:SearchResults",
    "Space": "core.space:Space",
    "TruncationWarning": "app.embedding.embedder:TruncationWarning",
    "Watch": "core.events:Watch",
    "adopt": "app.adopted.adopt:adopt",
    "adopt_column": "app.adopted.column:adopt_column",
    "index_parquet": "app.indexes.ray_data:index_parquet",
    "open": "app.indexes.opening:open_index",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    try:
        module, attribute = _PLACES[name].split(":")
    except KeyError:
        raise AttributeError(f"module 'embedwell' has no attribute {name!r}") from None
    value = getattr(import_module(f"embedwell.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
