"""Hit rates of the cache of vectors on Zipf streams, beside LRU and LFU; and what a hit costs.

"LFU" counts the uses of what it holds, as caches do. "LFU, all counted" never forgets a count and
lets nothing in that is asked for less often than what it holds: the best that LFU can be.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from embedwell.runtime.cache import Origin, VectorCache
from embedwell.testing import FAKE_BUILD

ENTRIES = 1000
LENGTH = 60_000
# Different texts, exponent of Zipf's law, look-ups after which other texts are the popular ones.
STREAMS = ((10_000, 0.8, 0), (10_000, 1.0, 0), (20_000, 1.2, 0), (100_000, 1.0, 0),
           (10_000, 1.0, 5000), (10_000, 1.0, 500))  # fmt: skip

Stream = Sequence[int]


def measure() -> dict[str, Any]:
    policies: dict[str, Callable[[Stream], float]] = {
        "embedwell": embedwell,
        "LRU": lru,
        "LFU": lambda stream: lfu(stream, all_counted=False),
        "LFU, all counted": lambda stream: lfu(stream, all_counted=True),
    }
    rows = []
    for n_texts, exponent, drift in STREAMS:
        stream = zipf(n_texts, exponent, drift)
        rates = {name: round(100 * rate(stream), 1) for name, rate in policies.items()}
        row = {"n_texts": n_texts, "exponent": exponent, "changes_after": drift or None}
        rows.append(row | {"hit_rates": rates})
        print(rows[-1], flush=True)
    hits = {"float32": hit_us(half=False), "float16": hit_us(half=True)}
    return {"entries": ENTRIES, "look_ups": LENGTH, "rows": rows, "hit_p50_us": hits}


def zipf(n_texts: int, exponent: float, drift: int) -> Stream:
    """Numbers of texts. After every `drift` look-ups a twentieth of the ranks have new texts."""
    drawn = np.random.default_rng(1)
    weights = 1 / np.arange(1, n_texts + 1) ** exponent
    ranks = drawn.choice(n_texts, LENGTH, p=weights / weights.sum())
    if not drift:
        return ranks.tolist()
    texts, new, stream = np.arange(n_texts), n_texts, []
    for at, rank in enumerate(ranks):
        if at % drift == 0:
            changed = drawn.choice(n_texts, n_texts // 20, replace=False)
            texts[changed] = np.arange(new, new + len(changed))
            new += len(changed)
        stream.append(int(texts[rank]))
    return stream


def embedwell(stream: Stream) -> float:
    """The product's own, where no time passes."""
    cache, here = VectorCache(ENTRIES, 1 << 30, clock=lambda: 0.0), Origin("s", "b", "query")
    vector, n_tokens = np.zeros((1, 4), np.float32), np.zeros(1, np.int64)
    for number in stream:
        text = str(number)
        if cache.find(here, [text])[0] is None:
            cache.keep(here, [text], vector, n_tokens, FAKE_BUILD, epoch=0)
    return cache.statistics().hits / len(stream)


def lru(stream: Stream) -> float:
    held: OrderedDict[int, None] = OrderedDict()
    n_hits = 0
    for text in stream:
        n_hits += text in held
        held[text] = None
        held.move_to_end(text)
        if len(held) > ENTRIES:
            held.popitem(last=False)
    return n_hits / len(stream)


def lfu(stream: Stream, *, all_counted: bool) -> float:
    """Of those used equally often the one used longest ago gives way."""
    seen: Counter[int] = Counter()
    held: dict[int, int] = {}
    heap: list[tuple[int, int, int]] = []
    n_hits = 0
    for now, text in enumerate(stream):
        seen[text] += 1
        if text in held:
            n_hits += 1
            held[text] += 1
        else:
            uses = seen[text] if all_counted else 1
            if len(held) == ENTRIES:
                while held.get(heap[0][2]) != heap[0][0]:  # counted on since
                    heapq.heappop(heap)
                if all_counted and heap[0][0] >= uses:
                    continue
                del held[heapq.heappop(heap)[2]]
            held[text] = uses
        heapq.heappush(heap, (held[text], now, text))
    return n_hits / len(stream)


def hit_us(*, half: bool) -> float:
    """Median of one look-up, in microseconds: a full cache, texts of about 100 characters."""
    cache, here = VectorCache(ENTRIES, half=half), Origin("s" * 64, "b" * 64, "query")
    texts = [f"{number} " + "how is bread baked " * 5 for number in range(ENTRIES)]
    vectors = np.random.default_rng(0).normal(size=(ENTRIES, 384)).astype(np.float32)
    cache.keep(here, texts, vectors, np.ones(ENTRIES, np.int64), FAKE_BUILD, epoch=0)
    took = []
    for number in range(ENTRIES):
        text = f"{number} " + "how is bread baked " * 5  # as it comes from a request: never hashed
        began = time.perf_counter()
        cache.find(here, [text])
        took.append(time.perf_counter() - began)
    return round(1e6 * float(np.median(took)), 2)
