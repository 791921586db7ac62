from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import short_folder


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's."""
    with short_folder() as folder:
        yield folder
