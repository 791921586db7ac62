from __future__ import annotations

import numpy as np
import pytest
from tiny_artifact import artifact_of_sums

from embedwell.core.errors import EngineError, EngineMemoryError
from embedwell.engines.faults import does_not_load, does_not_run
from embedwell.engines.protocol import TokenBatch


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), EngineMemoryError),
        (RuntimeError("std::bad_alloc"), EngineMemoryError),
        (OSError("mmap: Cannot allocate memory"), EngineMemoryError),
        (RuntimeError("no such operator"), EngineError),
    ],
)
def test_a_library_without_memory_is_told_from_one_that_fails(tmp_path, error, kind):
    batch = TokenBatch(*np.ones((2, 3, 4), np.int64))
    for found in (
        does_not_load(artifact_of_sums(tmp_path), error),
        does_not_run("m@q8", batch, error),
    ):
        assert type(found) is kind
        assert str(error) in found.problem
