"""The probe texts: what every build must embed as the first writer's did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, EngineError
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import FloatArray
from embedwell.runtime.protocol import TextEmbedder

NAME = "1"
"""Stored with the vectors; another set of texts gets another name."""

_ATTEMPTS = 4


@dataclass(frozen=True)
class Probe:
    """One of the texts.

    Attributes:
        text: What is embedded.
        kind: As what, so that a missing prompt shows on either side.
        is_odd: Whether it is like nothing that people write; rounding weighs more there.
        twin: Two probes with the same name here say nearly the same; empty without one.
    """

    text: str
    kind: Kind = "document"
    is_odd: bool = False
    twin: str = ""


_LONG = """\
Looking after a small orchard through the year is mostly a matter of doing little things on time. \
In January, when the trees are bare and the air is dry, walk from trunk to trunk and look for \
canker, split bark and the grey rings of insect eggs. Cut out dead wood first, then branches that \
rub against each other, and only then those that shade the middle of the crown. A clean cut just \
outside the collar heals by itself; paint and wax do more harm than good. By the end of February \
the pears can be grafted, and a week or two later the apples, as soon as the bark slips easily \
from the wood. March brings the first weeding around young trees. Grass takes water and nitrogen \
exactly where the fine roots are, so keep a circle of a metre free and cover it with old straw, \
without letting the straw touch the stem. Blossom comes in April, and with it the fear of frost: \
on clear, still nights the cold air runs downhill like water and stays in front of hedges and \
walls. Open a gap for it at the lowest point of the ground. Bees fly from about ten degrees, \
bumblebees much earlier, which is a good reason to leave a rough corner for them. In May and June \
the trees drop what they cannot feed; help them by thinning to one fruit for every hand's width, \
and the branches will neither break nor rest the year after. Summer is for watering deeply once a \
week rather than a little every evening, and for tying in new shoots while they still bend. Early \
apples are ready when a quarter turn lifts them off. Late ones stay on the tree until October and \
go into the cellar on slatted shelves, never touching, near the potatoes but far from the onions. \
Once the leaves have fallen, rake them up if there was scab, leave them if there was none, hang \
new boxes for the tits, write down which tree bore what, and order the two varieties that you \
swore last year you would finally plant along the northern fence."""

_PYTHON = """\
def moving_average(values: list[float], width: int) -> list[float]:
    total, means = sum(values[:width]), []
    for left, right in zip(values, values[width:] + [0.0]):
        means.append(total / width)
        total += right - left
    return means"""

_TYPESCRIPT = """\
export async function loadUser(id: number): Promise<User | null> {
  const response = await fetch(`/api/users/${id}`);
  return response.ok ? ((await response.json()) as User) : null;
}"""

_RUST = """\
impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() { handle.join().unwrap(); }
    }
}"""

_SQL = """\
SELECT customers.name, SUM(orders.total) AS spent FROM customers
JOIN orders ON orders.customer = customers.id
WHERE orders.placed_at >= '2024-01-01' GROUP BY customers.id ORDER BY spent DESC LIMIT 5;"""

_TRACE = """\
Traceback (most recent call last):
  File "report.py", line 42, in <module>
    total = sum(row["amount"] for row in rows)
KeyError: 'amount'"""

_MARKDOWN = """\
## Installation
- Linux: unpack the archive and run `./install.sh --prefix ~/.local`
- Windows: start the installer and follow the steps
| option | default |
| --- | --- |
| `timeout` | 30 s |"""

PROBES: tuple[Probe, ...] = (
    Probe(_LONG),
    Probe(
        "The index keeps one small vector for every passage, and a search compares the vector of "
        "the question with all of them.",
        twin="index",
    ),
    Probe(
        "For every passage the index keeps one small vector; when you search, the vector of the "
        "question is compared with each of them.",
        twin="index",
    ),
    Probe("how do I change the port that the server listens on", "query", twin="port"),
    Probe("change the port the web server listens on", "query", twin="port"),
    Probe(
        "La bibliothèque est ouverte du mardi au samedi, de dix heures à dix-huit heures ; on peut "
        "emprunter six livres pour trois semaines.",
        twin="library",
    ),
    Probe(
        "La bibliothèque est ouverte de dix heures à dix-huit heures, du mardi au samedi ; on peut "
        "garder six livres pendant trois semaines.",
        twin="library",
    ),
    Probe(_PYTHON, twin="python"),
    Probe(_PYTHON.replace("values", "numbers").replace("means", "result"), twin="python"),
    Probe("comment prolonger le prêt d'un livre", "query"),
    Probe("why does my bread dough not rise", "query"),
    Probe("KeyError when a column is missing from the csv file", "query"),
    Probe("capital of Portugal", "query"),
    Probe(
        "Mix flour, water, salt and a little yeast, let the dough rest in a warm place until it "
        "has doubled, and bake the loaf in a very hot oven for forty minutes."
    ),
    Probe(_TYPESCRIPT),
    Probe(_RUST),
    Probe(_SQL),
    Probe(_TRACE),
    Probe(_MARKDOWN),
    Probe("tar --create --gzip --exclude='*.tmp' --file backup.tar.gz ~/documents"),
    Probe(
        "L'ÉTÉ DERNIER, À ÉVREUX, LE CAFÉ DE Mme LEFÈVRE A FERMÉ. Zoë, François and Jürgen "
        "met THE MAYOR About It On Tuesday, but NOTHING came of it."
    ),
    Probe("Rain is expected tomorrow afternoon."),
    Probe(
        "The heart of an adult at rest beats sixty to eighty times a minute. With training it "
        "grows stronger and moves more blood with each beat, so it needs fewer of them."
    ),
    Probe(
        "L'eau bout à une température plus basse en montagne, car la pression de l'air y est "
        "plus faible ; les pâtes doivent donc cuire plus longtemps."
    ),
    Probe(
        "Under this agreement either party may terminate with ninety days' written notice, "
        "provided that all invoices issued before that date have been settled in full."
    ),
    Probe("window", is_odd=True),
    Probe("-", is_odd=True),
    Probe("🙂🚀🎉 🐍", is_odd=True),
    Probe("really really really really really really really really really", is_odd=True),
    Probe("3.14159 2718 007 42 1,000,000 0x1F 19:45", is_odd=True),
    Probe("Ω≈ç√ 漢字かな ☃ ꙮ ﷽ Җщ ‰ ⅞ ﬁ", is_odd=True),
    Probe("zxqv brrgl 8fj-kk_ Pfft!?!! …", "query", is_odd=True),
)
"""25 natural probes, then 7 odd ones; about 1,300 tokens of all-MiniLM-L6-v2 after its cut."""


def embed_probes(embedder: TextEmbedder, watch: Watch) -> tuple[BuildRecord, FloatArray]:
    """Embed the probe texts, all by one build.

    Returns:
        Who computed them, and float32, shape (len(PROBES), d); NaN where a text failed.

    Raises:
        EngineError: Two builds took turns.
        EmbedwellError: Nothing could be embedded at all.
    """
    build, vectors, _ = embed_with_probes((), embedder, watch)
    return build, vectors


def embed_with_probes(
    documents: Sequence[str], embedder: TextEmbedder, watch: Watch
) -> tuple[BuildRecord, FloatArray, FloatArray]:
    """The same for the probes and some documents.

    Returns:
        Who computed them, the probes' vectors and the documents'.
    """
    texts = {
        "document": [probe.text for probe in PROBES if probe.kind == "document"],
        "query": [probe.text for probe in PROBES if probe.kind == "query"],
    }
    is_query = np.array([probe.kind == "query" for probe in PROBES])
    for _ in range(_ATTEMPTS):
        left = embed_all([*texts["document"], *documents], "document", embedder, watch)
        right = embed_all(texts["query"], "query", embedder, watch)
        if left.build.key == right.build.key:
            n = len(texts["document"])
            vectors = np.empty((len(PROBES), embedder.space.dimensions), dtype=np.float32)
            vectors[~is_query], vectors[is_query] = left.vectors[:n], right.vectors
            return left.build, vectors, left.vectors[n:]
    raise EngineError(
        f"{left.build} and {right.build} took turns while the probes were embedded.",
        "Try again once the service stays up, or set `service` to `off`.",
    )


def embed_all(texts: Sequence[str], kind: Kind, embedder: TextEmbedder, watch: Watch) -> Embedded:
    """Embed texts quietly; what fails or has another shape is NaN, for whoever measures to judge.

    Raises:
        EmbedwellError: Nothing could be embedded at all.
    """
    try:
        found = embedder.embed(texts, kind, Watch(cancelled=watch.cancelled))
    except BadTextsError as error:
        found = error.embedded
    shape = len(texts), embedder.space.dimensions
    if found.vectors.shape == shape:
        return found
    return replace(found, vectors=np.full(shape, np.nan, dtype=np.float32))
