from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from embedwell.core.errors import EngineError
from embedwell.engines.registry import open_engine


@dataclass
class EntryPoint:
    """Stands in for the installed entry point of a third party."""

    def load(self):
        return lambda artifact, n_threads: (artifact.engine, n_threads)


def test_an_unknown_engine_is_named_with_the_known_ones(real_artifact):
    with pytest.raises(EngineError, match=r"no engine 'steam'.*onnx"):
        open_engine(replace(real_artifact("q8"), engine="steam"), 1)


def test_a_third_partys_engine_is_found(real_artifact, monkeypatch):
    def entry_points(group, name):
        return [EntryPoint()] if (group, name) == ("embedwell.engines", "theirs") else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert open_engine(replace(real_artifact("q8"), engine="theirs"), 3) == ("theirs", 3)
