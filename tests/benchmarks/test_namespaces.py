"""Two machines, one store: what the benchmark measures is whole."""

from __future__ import annotations

import pytest

from benchmarks import network


@pytest.mark.usefixtures("postgres_server")  # skipped where there is none
def test_four_workers_of_two_machines_fill_one_store_that_is_read_meanwhile():
    if not network.can_make():
        pytest.skip("needs the right to make network namespaces")
    from benchmarks import namespaces

    found = namespaces.measure(400, 1.0)
    assert found["is_whole"]
    assert found["n_failed"] == 0
    assert sum(found["documents_by_worker"]) == found["n_documents"] == found["n_done"]
    assert len(found["documents_by_worker"]) == 4
