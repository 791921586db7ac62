from __future__ import annotations

import numpy as np
import pytest

from embedwell.core.errors import BadVectorError
from embedwell.core.vectors import check_vectors, normalized


def test_rows_get_length_one_and_zeros_stay():
    rows = normalized(np.array([[3, 4], [0, 0]], np.float32))
    assert rows.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
    assert rows.dtype == np.float32


@pytest.mark.parametrize("bad", [[np.nan, 1], [np.inf, 1], [0, 0]])
def test_a_bad_row_is_named(bad):
    with pytest.raises(BadVectorError, match=r"1 of 3 vectors .* row 1"):
        check_vectors(np.array([[1, 0], bad, [0, 1]], np.float32), 2)


@pytest.mark.parametrize("shape", [(3, 3), (2,), (2, 2, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(BadVectorError, match="expected"):
        check_vectors(np.ones(shape, np.float32), 2)


def test_good_rows_pass():
    check_vectors(np.eye(3, dtype=np.float32), 3)
