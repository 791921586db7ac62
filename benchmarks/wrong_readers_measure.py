"""What the handshake says of each reader, and what the reader would do to results."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.datasets import Retrieval, cosqa, piaf, scifact
from benchmarks.environments import MODEL, published
from benchmarks.metrics import Floats
from benchmarks.paths import WORK, work
from benchmarks.realistic import extended
from benchmarks.wrong_readers import PROMPTS, Reader, readers
from benchmarks.wrong_readers_networks import open_network
from embedwell.app.config.settings import Settings
from embedwell.app.models.obtain import artifact, pull_source
from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.embedded import Embedded
from embedwell.core.errors import DriftError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.engines.onnx import open_engine
from embedwell.handshake.admit import admitted
from embedwell.handshake.drift import BOUNDS, Drift
from embedwell.handshake.probes import PROBES
from embedwell.handshake.prove import prove
from embedwell.models.catalogue import card
from embedwell.models.source import SourceFiles
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store

K = 10
N_PASSAGES, N_BASE, N_EXTENDED = 1000, 5000, 100_000
N_QUERIES = {"questions": 45, "passages": 40, "words": 15}  # of each of three sets
REFUSED_BELOW, ADMITTED_ABOVE = 0.9, 0.98
SAME = 0.9999  # cosine from which two vectors of a query count as one
_BLOCK = 20_000


@dataclass(frozen=True)
class Texts:
    """What is stored and what is asked; no query is a passage.

    Attributes:
        passages: English, French and code in turn; the first 1,000 are the small store.
        queries: Questions, held-out passages and single words of each.
    """

    passages: list[str]
    queries: list[str]


def draw(data: Path) -> Texts:
    """The same texts every time."""
    parts = [_draw(set_) for set_ in (scifact(data), piaf(data), cosqa(data))]
    in_turn = [text for texts in zip(*(p.passages for p in parts), strict=False) for text in texts]
    return Texts(in_turn[:N_BASE], [text for part in parts for text in part.queries])


def _draw(set_: Retrieval) -> Texts:
    drawn = random.Random(set_.name)
    documents = drawn.sample(list(set_.documents.values()), len(set_.documents))
    held, passages = documents[: N_QUERIES["passages"]], documents[N_QUERIES["passages"] + 50 :]
    sources = documents[N_QUERIES["passages"] :][:50]
    words = [max(text.split()[:20], key=len).strip(".,:;()\"'") for text in sources]
    questions = drawn.sample(list(set_.questions.values()), N_QUERIES["questions"])
    return Texts(passages, [*questions, *held, *list(dict.fromkeys(words))[: N_QUERIES["words"]]])


@dataclass(frozen=True)
class Stored:
    """What the right build wrote, and what it would find.

    Attributes:
        store: Its proof; what is searched lies beside it.
        queries: Their vectors.
        passages: Vectors of 1,000 passages, and of many more.
        found: The 10 best of each query in each of the two.
    """

    store: Store
    queries: Floats
    passages: list[Floats]
    found: list[Any]


class WrongEmbedder:
    """Says that it is of the store's space, whatever it does; see `TextEmbedder`."""

    def __init__(self, inner: TextEmbedder, space: Space, reader: Reader) -> None:
        self._inner = inner
        self._reader = reader
        self.space = space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed the texts, or what became of them."""
        change, alter = self._reader.text, self._reader.alter
        given = [change(text) for text in texts] if change else texts
        found = self._inner.embed(given, kind, watch)
        vectors = alter(found.vectors, texts) if alter else found.vectors
        build = replace(found.build, artifact_key=self._reader.name)
        return replace(found, vectors=np.ascontiguousarray(vectors, np.float32), build=build)

    def token_starts(self, text: str) -> Any:
        """As the inner one."""
        return self._inner.token_starts(text)

    def close(self) -> None:
        """The inner one stays open: others read through it too."""


class Remembering:
    """An embedder that computes no text twice."""

    def __init__(self, inner: LocalEmbedder) -> None:
        self._inner = inner
        self._known: dict[tuple[str, Kind], Floats] = {}
        self.space = inner.space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed what is not known yet."""
        new = list(dict.fromkeys(text for text in texts if (text, kind) not in self._known))
        for text, vector in zip(new, self._inner.embed(new, kind, watch).vectors, strict=True):
            self._known[text, kind] = vector
        vectors = np.stack([self._known[text, kind] for text in texts])
        return Embedded(vectors, np.ones(len(texts), np.int64), 0, self._inner.build)

    def token_starts(self, text: str) -> Any:
        """As the inner one."""
        return self._inner.token_starts(text)

    def close(self) -> None:
        """Give the memory back."""
        self._inner.close()


@dataclass(frozen=True)
class Workshop:
    """What readers are made of.

    Attributes:
        source: The published files.
        folder: Where wrong artifacts may lie for a while.
        right: The artifact that wrote the store.
        product: Gives the product's own artifacts.
        embedders: Right embedders without and with prompts.
    """

    source: SourceFiles
    folder: Path
    right: Artifact
    product: Callable[[Quantization], Artifact]
    embedders: dict[bool, Remembering]

    @contextmanager
    def opened(self, reader: Reader, stored: Floats) -> Iterator[WrongEmbedder]:
        """A reader, ready to embed, that may have learnt from stored vectors."""
        if reader.learn:
            reader = replace(reader, alter=reader.learn(stored))
        space = self.embedders[reader.prompted].space
        if reader.network is not None:
            with TemporaryDirectory(dir=self.folder) as folder:
                inner = open_network(reader.network, self.source, self.right, Path(folder) / "it")
                yield WrongEmbedder(inner, space, reader)
                inner.close()
        elif reader.quantization != "q32":
            local = _local(self.product(reader.quantization), {})
            yield WrongEmbedder(local, space, reader)
            local.close()
        else:
            yield WrongEmbedder(self.embedders[reader.prompted], space, reader)


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Everything at hand; closed afterwards."""
    settings = Settings(cache=WORK / "cache", model_files=published())

    def product(quantization: Quantization) -> Artifact:
        return artifact(settings, f"{MODEL}@{quantization}", Watch())

    source, right = pull_source(settings, card(MODEL), Watch()), product("q32")
    embedders = {
        asks: Remembering(_local(right, PROMPTS if asks else {})) for asks in (False, True)
    }
    with TemporaryDirectory() as folder:
        yield Workshop(source, Path(folder), right, product, embedders)
    for embedder in embedders.values():
        embedder.close()


def _local(right: Artifact, space: dict[str, str]) -> LocalEmbedder:
    asked = replace(right, space=replace(right.space, **space))
    return LocalEmbedder(asked, open_engine(asked, 1))


def write_store(shop: Workshop, texts: Texts, *, prompted: bool) -> Stored:
    """What the right build stores of the texts, in a store of 1,000 passages and a large one."""
    embedder = shop.embedders[prompted]
    file = shop.folder / f"prompted-{prompted}.db"
    store = create_store(str(file), CollectionSettings(embedder.space, 256))
    writer = admitted(store, store.spaces.main().number, embedder, (), str(file))
    queries = writer.embed(texts.queries, "query", Watch()).vectors
    every = _kept(embedder, shop.right.key, texts.passages)
    passages = [every[:N_PASSAGES], _extended(every)]
    return Stored(store, queries, passages, [best(queries, vectors) for vectors in passages])


def _kept(embedder: Remembering, key: str, texts: Sequence[str]) -> Floats:
    """Vectors of the passages: minutes of work that nothing changes, so kept from run to run."""
    content = "\0".join([key, embedder.space.to_json(), *texts]).encode()
    kept = work("vectors", f"passages-{hashlib.sha256(content).hexdigest()[:32]}.npy")
    if not kept.exists():
        np.save(kept, embedder.embed(texts, "document", Watch()).vectors)
    found: Floats = np.load(kept)
    return found


def _extended(vectors: Floats) -> Floats:
    return np.concatenate(list(extended(vectors, N_EXTENDED))).astype(np.float32)


def best(queries: Floats, stored: Floats) -> Any:
    """Rows of the 10 nearest by cosine: int64, shape (n, 10)."""
    places, cosines = [], []
    for begin in range(0, len(stored), _BLOCK):
        near = queries @ stored[begin : begin + _BLOCK].T
        top = np.argpartition(-near, K, axis=1)[:, :K]
        places.append(top + begin)
        cosines.append(np.take_along_axis(near, top, 1))
    order = np.argsort(-np.concatenate(cosines, axis=1), axis=1)[:, :K]
    return np.take_along_axis(np.concatenate(places, axis=1), order, 1)


def overlap(asked: Floats, right: Any, stored: Floats) -> float:
    """Share of the 10 best that stay; a query without a usable vector finds nothing."""
    usable = np.isfinite(asked).all(axis=1) & asked.any(axis=1)
    found = best(np.where(usable[:, None], asked, 0), stored)
    shares = [len(set(a) & set(b)) / K for a, b in zip(found.tolist(), right.tolist(), strict=True)]
    return float(np.mean(np.where(usable, shares, 0)))


def ask(shop: Workshop, reader: Reader, stored: Stored, queries: Sequence[str]) -> dict[str, Any]:
    """One row of the table."""
    with shop.opened(reader, stored.passages[0]) as embedder:
        number = stored.store.spaces.main().number
        proof = prove(stored.store, number, embedder, Watch())
        is_admitted = lets_in(stored.store, embedder)
        vectors = embedder.embed(queries, "query", Watch()).vectors
    small, large = (
        overlap(vectors, found, passages)
        for found, passages in zip(stored.found, stored.passages, strict=True)
    )
    return {
        "kind": reader.kind,
        "name": reader.name,
        "half": "tuning" if reader.is_for_tuning else "reported",
        "overlap": round(small, 4),
        "overlap_large": round(large, 4),
        "overlap_passages": round(_of_passages(vectors, stored), 4),
        **_where_changed(vectors, stored),
        **{measure: _plain(getattr(proof.drift, measure)) for measure in vars(BOUNDS)},
        "beyond": beyond(proof.drift),
        "worst_text": _worst_text(proof.drift),
        "admitted": is_admitted,
        "holds": holds(small, admitted=is_admitted),
    }


def _where_changed(vectors: Floats, stored: Stored) -> dict[str, Any]:
    """How many queries get another vector than the right one, and what stays of their top 10."""
    changed = ~(np.einsum("nd,nd->n", vectors, stored.queries) > SAME * _lengths(vectors))
    if not changed.any():
        return {"n_changed": 0, "overlap_changed": None}
    found = overlap(vectors[changed], stored.found[0][changed], stored.passages[0])
    return {"n_changed": int(changed.sum()), "overlap_changed": round(found, 4)}


def _of_passages(vectors: Floats, stored: Stored) -> float:
    """The overlap over those queries alone that are whole passages."""
    first, n, all_ = N_QUERIES["questions"], N_QUERIES["passages"], sum(N_QUERIES.values())
    rows = [at for at in range(len(vectors)) if first <= at % all_ < first + n]
    return overlap(vectors[rows], stored.found[0][rows], stored.passages[0])


def _lengths(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1)
    return lengths


def lets_in(store: Store, embedder: TextEmbedder) -> bool:
    """Whether a store would give the embedder's vectors away: the product's own answer."""
    number = store.spaces.main().number
    try:
        admitted(store, number, embedder, (), "the store").embed(["a"], "query", Watch())
    except DriftError:
        return False
    return True


def beyond(drift: Drift) -> list[str]:
    """The bounds that a drift does not keep."""
    if drift.unusable:
        return ["unusable"]
    return [name for name, bound in vars(BOUNDS).items() if getattr(drift, name) > bound]


def holds(overlap: float, *, admitted: bool) -> bool:
    """Whether what harms is refused, and what does not is let in; between, either will do."""
    if overlap < REFUSED_BELOW:
        return not admitted
    return admitted or overlap <= ADMITTED_ABOVE


def _worst_text(drift: Drift) -> str:
    """The start of the text that refuses most plainly."""
    odd = beyond(drift) == ["odd_worst"]
    return " ".join(PROBES[drift.odd_worst_probe if odd else drift.worst_probe].text[:40].split())


def _plain(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def measure(data: Path, wanted: Callable[[Reader], bool] = lambda _: True) -> dict[str, Any]:
    """Every reader that is wanted; returns what JSON keeps."""
    texts = draw(data)
    with workshop() as shop:
        stored = {asks: write_store(shop, texts, prompted=asks) for asks in (False, True)}
        rows = []
        for reader in filter(wanted, readers()):
            rows.append(ask(shop, reader, stored[reader.prompted], texts.queries))
            print(f"  {reader.name}: {rows[-1]['overlap']}, {rows[-1]['admitted']}", flush=True)
    return {"n_passages": N_PASSAGES, "n_large": N_EXTENDED, "n_queries": len(texts.queries),
            "refused_below": REFUSED_BELOW, "admitted_above": ADMITTED_ABOVE,
            "bounds": vars(BOUNDS), "rows": rows}  # fmt: skip
