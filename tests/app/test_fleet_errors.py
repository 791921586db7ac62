"""How the error of a worker becomes that of the process that started it."""

from __future__ import annotations

import pytest

from embedwell.app.workers.fleet_work import raised
from embedwell.core.errors import CanaryError, DriftError, EmbedwellError, StoreFullError


def test_the_report_of_a_check_comes_along():
    told = {
        "type": "CanaryError",
        "problem": "It stopped.",
        "remedy": "Look.",
        "report": {"passed": False},
    }
    error = raised(told)
    assert isinstance(error, CanaryError)
    assert error.report == {"passed": False}


@pytest.mark.parametrize("kind", ["StoreFullError", "DriftError", "SomethingNew"])
def test_the_kind_comes_along_where_there_is_one(kind):
    error = raised({"type": kind, "problem": "It is full.", "remedy": "Make room."})
    assert isinstance(error, StoreFullError) is (kind == "StoreFullError")
    assert isinstance(error, EmbedwellError)
    assert not isinstance(error, DriftError)
    assert (error.problem, error.remedy) == ("It is full.", "Make room.")
