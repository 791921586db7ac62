from __future__ import annotations

import gc

import numpy as np
import pytest
from tiny_artifact import artifact_of_sums

from embedwell.core.errors import EngineError
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import open_engine


def batch(*ids):
    return TokenBatch(np.array(ids, np.int64), np.ones((len(ids), len(ids[0])), np.int64))


def test_a_batch_gives_a_float32_row_for_each_text(tmp_path):
    engine = open_engine(artifact_of_sums(tmp_path), 2)
    vectors = engine.run(batch([1, 2], [3, 4]))
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[3], [7]])


def test_a_closed_engine_says_so(tmp_path):
    engine = open_engine(artifact_of_sums(tmp_path), 1)
    engine.close()
    engine.close()
    gc.collect()
    with pytest.raises(EngineError, match=r"sums@q32.*closed"):
        engine.run(batch([1]))


@pytest.mark.parametrize("content", [b"", b"not a graph", None])
def test_an_artifact_that_does_not_load_is_named(tmp_path, content):
    artifact = artifact_of_sums(tmp_path)
    path = tmp_path / "model.onnx"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"sums@q32.*does not load"):
        open_engine(artifact, 1)


def test_a_batch_that_fails_names_the_artifact_and_the_shape(tmp_path):
    engine = open_engine(artifact_of_sums(tmp_path), 1)
    wrong = TokenBatch(np.array([[1.5]]), np.ones((1, 1), np.int64))  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"sums@q32.*\(1, 1\)"):
        engine.run(wrong)
