"""The tensors of a network under our own names, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.models.networks.config import Shape
from embedwell.models.networks.family import Layout, Network
from embedwell.models.published import Published

# Rows are read in blocks of about this many bytes, so that no big table is ever whole in memory.
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class _Place:
    """Some rows of a published tensor."""

    name: str
    start: int
    stop: int


class Tensors:
    """A network's tensors, wherever they were published.

    Args:
        published: The published tensors. A prefix that all their names share, such as `bert.`, is
            found and put before each name.
        network: Which tensors there are, and where.
        watch: Told of each whole tensor that was read, as `convert`.

    Raises:
        ConversionError: A tensor is missing or has another shape.
    """

    def __init__(self, published: Published, network: Network, watch: Watch | None = None) -> None:
        self._published = published
        self._watch = watch or Watch()
        self._n_read = 0
        self._places = _places(published, network)

    def read(self, name: str) -> FloatArray:
        """One whole tensor as float32."""
        place = self._places[name]
        tensor = self._published.rows(place.name, place.start, place.stop)
        self._count()
        return tensor

    def blocks(self, name: str) -> Iterator[FloatArray]:
        """A matrix as consecutive blocks of rows, float32, a few megabytes each."""
        place = self._places[name]
        width = self._published.shape(place.name)[1]
        step = max(1, _BLOCK_BYTES // (4 * width))
        for start in range(place.start, place.stop, step):
            yield self._published.rows(place.name, start, min(start + step, place.stop))
        self._count()

    def _count(self) -> None:
        self._n_read += 1
        self._watch.progress("convert", self._n_read, len(self._places), "tensors")


def _places(published: Published, network: Network) -> dict[str, _Place]:
    shapes = network.config.shapes()
    names = published.names()
    prefix = _common_prefix(names, published_name(network.layout, next(iter(shapes))))
    places = {}
    for ours, shape in shapes.items():
        name = published_name(network.layout, ours)
        # A scoring head is published beside the network, not within.
        name = prefix + name if prefix + name in names or name not in names else name
        if name not in names:
            raise ConversionError(
                f"'{published.label}' has no tensor '{name}', which its config.json asks for.",
                "Check that config.json and the weights are of the same model and revision.",
            )
        places[ours] = _place(published, network.layout, ours, (name, shape))
    return places


def _place(published: Published, layout: Layout, ours: str, wanted: tuple[str, Shape]) -> _Place:
    name, shape = wanted
    part = layout[_role(ours)]
    expected = (shape[0] * part.of, *shape[1:])
    found = published.shape(name)
    if found != expected:
        raise ConversionError(
            f"The tensor '{name}' in '{published.label}' has shape {found}, "
            f"but config.json asks for {expected}.",
            "Fetch config.json and the weights again, of the same revision.",
        )
    return _Place(name, shape[0] * part.part, shape[0] * (part.part + 1))


def _role(ours: str) -> str:
    """`query` of `3.query.weight`."""
    return ours.split(".")[-2]


def published_name(layout: Layout, ours: str) -> str:
    """The published name of a tensor that we call so."""
    layer, suffix = ours.split(".", 1)[0], ours.rsplit(".", 1)[1]
    return f"{layout[_role(ours)].name.format(n=layer)}.{suffix}"


def _common_prefix(names: AbstractSet[str], first: str) -> str:
    """What stands before the first expected name; empty where it is missing altogether."""
    found = sorted((name for name in names if name.endswith(first)), key=len)
    return found[0].removesuffix(first) if found else ""
