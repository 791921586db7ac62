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
    from embedwell.app.adopt import Adopted, AdoptedResult, adopt
    from embedwell.app.adopted_column import AdoptedColumn, adopt_column
    from embedwell.app.domains import EmbeddingDomain
    from embedwell.app.dual import DualEmbeddingService, DualEmbeddingServiceAdapter
    from embedwell.app.embedder import Embedder, TruncationWarning
    from embedwell.app.index import Index
    from embedwell.app.opening import open_index as open
    from embedwell.app.ray_data import ParquetReport, index_parquet
    from embedwell.app.reranker import Reranker
    from embedwell.app.runtime import Runtime
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
    "Adopted": "app.adopt:Adopted",
    "AdoptedColumn": "app.adopted_column:AdoptedColumn",
    "AdoptedResult": "app.adopt:AdoptedResult",
    "BadTextsError": "core.errors:BadTextsError",
    "DualEmbeddingService": "app.dual:DualEmbeddingService",
    "DualEmbeddingServiceAdapter": "app.dual:DualEmbeddingServiceAdapter",
    "Embedder": "app.embedder:Embedder",
    "EmbeddingDomain": "app.domains:EmbeddingDomain",
    "EmbedwellError": "core.errors:EmbedwellError",
    "Event": "core.events:Event",
    "Index": "app.index:Index",
    "IndexReport": "jobs.index:IndexReport",
    "ParquetReport": "app.ray_data:ParquetReport",
    "Progress": "core.events:Progress",
    "Reranker": "app.reranker:Reranker",
    "Runtime": "app.runtime:Runtime",
    "SearchResult": "search.results:SearchResult",
    "SearchResults": "search.results:SearchResults",
    "Space": "core.space:Space",
    "TruncationWarning": "app.embedder:TruncationWarning",
    "Watch": "core.events:Watch",
    "adopt": "app.adopt:adopt",
    "adopt_column": "app.adopted_column:adopt_column",
    "index_parquet": "app.ray_data:index_parquet",
    "open": "app.opening:open_index",
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
