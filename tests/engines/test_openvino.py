from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper
from tiny_artifact import artifact_of, artifact_of_sums

from embedwell.core.errors import EngineError, MissingExtraError
from embedwell.core.events import Watch
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.handshake.drift import BOUNDS, measure
from embedwell.handshake.probes import PROBES, embed_probes
from embedwell.runtime.embedder import LocalEmbedder


def ones(n_texts, length):
    return TokenBatch(*np.ones((2, n_texts, length), np.int64))


@pytest.mark.parametrize("level", ["q4", "q8"])
def test_levels_made_of_onnxruntimes_operators_are_refused(real_artifact, level):
    artifact = replace(real_artifact(level), engine="openvino")
    with pytest.raises(EngineError, match=f"@{level}.*q16 or q32.*`engine` to onnx"):
        open_engine(artifact, 1)


def test_without_its_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "embedwell.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r'pip install "embedwell\[openvino\]"'):
        open_engine(replace(artifact_of_sums(tmp_path), engine="openvino"), 1)


def test_the_build_says_which_plugin_computes(tmp_path):
    import openvino

    build = open_engine(replace(artifact_of_sums(tmp_path), engine="openvino"), 1).build
    assert build.version == openvino.__version__
    assert len(build.native) >= 32


def test_bfloat16_is_another_build_whose_vectors_are_admitted(real_artifact, monkeypatch):
    """Where the processor cannot, the library computes in float32 all the same."""
    from embedwell.engines import openvino

    found = {}
    for can in (False, True):
        monkeypatch.setattr(openvino, "_multiplies_bf16", lambda can=can: can)
        artifact = replace(real_artifact("q16"), engine="openvino")
        embedder = LocalEmbedder(artifact, open_engine(artifact, 1))
        build, vectors = embed_probes(embedder, Watch())
        found[build.native.split()[-1]] = vectors
        texts = [probe.text for probe in PROBES[:6]]
        together = embedder.embed(texts, "document", Watch()).vectors
        alone = [embedder.embed([text], "document", Watch()).vectors[0] for text in texts]
        assert np.einsum("nd,nd->n", together, alone).min() > 0.99999
        embedder.close()
    assert set(found) == {"f32", "bf16"}
    drift = measure(found["f32"], found["bf16"], PROBES)
    assert drift.mean < BOUNDS.mean / 50
    assert drift.worst < BOUNDS.worst / 50


@pytest.mark.parametrize("level", ["q32", "q8"])
def test_only_q16_is_computed_in_bfloat16(real_artifact, monkeypatch, level):
    from embedwell.engines import openvino

    monkeypatch.setattr(openvino, "_multiplies_bf16", lambda: True)
    assert openvino._precision(real_artifact(level)) == "f32"


def test_a_process_ends_cleanly_with_its_model_still_loaded(real_artifact, real_cache):
    real_artifact("q16")
    command = [
        sys.executable,
        "-m",
        "embedwell.cli.main",
        "embed",
        "--quantization",
        "q16",
        "a text",
    ]
    wishes = {"EMBEDWELL_ENGINE": "openvino", "EMBEDWELL_CACHE": str(real_cache)}
    done = subprocess.run(command, env=os.environ | wishes, capture_output=True, check=True)
    assert done.stderr == b""


def test_few_shapes_are_compiled_whatever_the_lengths():
    from embedwell.engines.openvino import _rounded_up

    def padded(length, most=512):
        return _rounded_up(ones(2, length), most)["attention_mask"]

    assert len({padded(length).shape[1] for length in range(1, 513)}) == 14
    assert padded(9).sum(axis=1).tolist() == [9, 9]
    assert padded(98, most=100).shape == (2, 100)
    assert padded(100, most=100).shape == (2, 100)


@pytest.mark.parametrize("attributes", [
    {},
    {"alpha": 0.5, "transB": 1},
    {"transA": 1, "transBatchA": 1},
    {"transBatchA": 1, "transBatchB": 1, "transB": 1},
])  # fmt: skip
def test_a_fused_product_is_what_onnxruntime_makes_of_it(tmp_path, attributes):
    """Of 16 ids as an array of 4 dimensions, with itself."""
    node = helper.make_node
    nodes = [
        node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        node("Cast", ["kept"], ["numbers"], to=TensorProto.FLOAT),
        node("Slice", ["numbers", "zero", "sixteen", "one"], ["first"]),  # what is padded goes
        node("Reshape", ["first", "shape"], ["square"]),
        node("FusedMatMul", ["square", "square"], ["out"], domain="com.microsoft", **attributes),
        node("Reshape", ["out", "row"], ["embedding"]),
    ]
    constants = {"zero": [0], "sixteen": [16], "one": [1], "shape": [2] * 4, "row": [1, 16]}
    artifact = artifact_of(tmp_path, "products", nodes, constants, 16)
    ids = TokenBatch(np.arange(1, 17)[None], np.ones((1, 16), np.int64))
    expected, found = (
        open_engine(replace(artifact, engine=name), 1).run(ids) for name in ("onnx", "openvino")
    )
    np.testing.assert_allclose(found, expected)
