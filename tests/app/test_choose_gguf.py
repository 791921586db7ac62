"""llama.cpp runs a GGUF file at the level that the file has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import quantization_for
from embedwell.models.catalogue import PinnedFile, card

N = 22_565_376


def chosen(name: str, size_bytes: int, **settings) -> str:
    model = replace(
        card("all-MiniLM-L6-v2"), files={name: PinnedFile("", size_bytes)}, n_parameters=N
    )
    return quantization_for(Settings(engine="llamacpp", **settings), model).quantization


@pytest.mark.parametrize(
    ("bits", "level"), [(32.2, "q32"), (16.4, "q16"), (8.9, "q8"), (7.2, "q4"), (5.0, "q4")]
)
def test_auto_is_the_level_of_the_file(bits: float, level: str):
    assert chosen("x.gguf", int(bits * N / 8)) == level


def test_what_was_asked_for_and_what_is_unknown_stay_as_they_are():
    assert chosen("x.gguf", 4 * N, quantization="q4") == "q4"
    assert chosen("x.gguf", 0) == "q8"
    assert chosen("model.safetensors", 4 * N) == "q8"
