"""The native scan of codes against numpy's, where faiss is installed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from embedwell.stores.index import best
from embedwell.stores.scan import fastscan
from embedwell.stores.scan.bits import bit_scores, encode
from embedwell.stores.scan.codes import Codes
from embedwell.stores.scan.exact import ExactIndex
from embedwell.stores.scan.fastscan import FastScanKernel
from embedwell.stores.scan.kernels import NumpyKernel, Widths

# Bindings made by older versions of SWIG warn when newer Pythons load them.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")

N = 3_000


@pytest.fixture
def kernel(monkeypatch):
    pytest.importorskip("faiss", exc_type=ImportError)
    monkeypatch.setattr("embedwell.stores.scan.codes.LARGE", 700)
    monkeypatch.setattr("embedwell.stores.scan.blocks.LARGE", 700)
    monkeypatch.setattr(fastscan, "UNPACKED", 30)
    return FastScanKernel(small=1)


def clustered(n: int, dimensions: int):
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((100, dimensions)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = rng.standard_normal((n, dimensions)) * 0.5 / dimensions**0.5
    return centres, (centres[np.arange(n) % 100] + noise).astype(np.float16)


@pytest.mark.parametrize("dimensions", [64, 100, 384])
def test_the_native_scan_finds_what_numpy_finds(kernel, dimensions):
    centres, halves = clustered(N, dimensions)
    ids = np.arange(N, dtype=np.int64) * 3
    both = Codes(dimensions, kernel), Codes(dimensions, NumpyKernel())
    assert both[0].kernel == "faiss"
    for codes in both:
        codes.append(ids, halves)
        codes.remove(ids[::9])
        codes.append(ids[-1] + 1 + ids[:50], halves[:50])
    widths, odd = Widths(800, 60), ids[1::2]
    for query in centres[:10]:
        native, plain = (codes.candidates(query, widths, None) for codes in both)
        assert len(np.intersect1d(native, plain)) >= 55
        native, plain = (codes.candidates(query, widths, odd) for codes in both)
        assert native.tolist() == plain.tolist()


def test_rows_in_the_way_of_live_ones_do_not_hide_them(kernel):
    centres, halves = clustered(N, 64)
    query = centres[7]
    exact = ExactIndex(64)
    exact.append(np.arange(N), halves)
    ranked = exact.nearest(query, N, None).ids
    # One block begins with what fits best, and all of that is removed.
    codes = Codes(64, kernel)
    codes.append(np.arange(N), halves[ranked])
    codes.remove(np.arange(150))
    found = codes.candidates(query, Widths(200, 40), None)
    live = np.arange(150, N)
    expected = best(live, bit_scores(encode(halves[ranked[live]]), query), 40).ids
    assert len(np.intersect1d(found, expected)) >= 38


def test_rows_added_after_packing_are_found(kernel):
    centres, halves = clustered(N, 64)
    codes = Codes(64, kernel)
    codes.append(np.arange(N), halves)
    widths = Widths(200, 40)
    codes.candidates(centres[3], widths, None)
    for at, query in enumerate(centres[:60]):
        codes.append(np.array([N + at]), query[None].astype(np.float16))
        assert N + at in codes.candidates(query, widths, None)


def test_equal_vectors_are_no_trouble(kernel):
    codes = Codes(64, kernel)
    codes.append(np.arange(N), np.ones((N, 64), np.float16))
    query = np.full(64, 0.125, np.float32)
    assert codes.candidates(query, Widths(40, 20), None).tolist() == list(range(20))


def test_a_library_that_cannot_be_loaded_leaves_it_to_numpy(monkeypatch, caplog):
    def broken(name: str):
        raise ImportError("a library that it needs is missing")

    monkeypatch.setattr(fastscan, "import_module", broken)
    codes = Codes(64, FastScanKernel(small=1))
    codes.append(np.arange(100), clustered(100, 64)[1])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(codes.candidates(np.ones(64, np.float32), Widths(40, 20), None)) == 20
    assert codes.kernel == "numpy"
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("found", "name"), [(None, "numpy"), ("a module", "faiss")])
def test_the_fastest_that_is_installed_scans(monkeypatch, found, name):
    monkeypatch.setattr(fastscan, "find_spec", lambda module: found)
    assert Codes(64).kernel == name
