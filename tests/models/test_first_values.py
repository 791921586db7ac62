from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_bert import tiny_source

from embedwell.core.errors import WrongBytesError
from embedwell.models.catalogue import FirstValues
from embedwell.models.first_values import check_first_values, vector


def with_values(source, values, tolerance=1e-3):
    published = FirstValues("w1 w2 w3", tuple(values), tolerance)
    return replace(source, card=replace(source.card, first_values=published))


def test_the_real_model_gives_its_published_values(real_source):
    assert real_source.card.first_values is not None
    check_first_values(real_source)


def test_right_values_pass_and_wrong_ones_are_refused(tmp_path):
    source = tiny_source(tmp_path)
    values = vector(source, "w1 w2 w3")[:5].tolist()
    check_first_values(with_values(source, values))
    with pytest.raises(WrongBytesError, match=r"up to 0\.0100 apart"):
        check_first_values(with_values(source, [values[0] + 0.01, *values[1:]]))
    with pytest.raises(WrongBytesError):
        check_first_values(with_values(source, [np.nan]))


def test_a_model_without_published_values_passes(tmp_path):
    source = tiny_source(tmp_path)
    check_first_values(replace(source, card=replace(source.card, first_values=None)))
