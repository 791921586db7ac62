"""What a user's code sees: exact names, light imports, types."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import embedwell
from embedwell.chunking.registry import CHUNKERS
from embedwell.core.errors import EmbedwellError
from embedwell.engines.registry import ENGINES
from embedwell.ingest.extract import EXTRACTORS
from embedwell.stores.registry import STORES

HEAVY = ["numpy", "onnxruntime", "onnx", "tokenizers", "huggingface_hub", "sqlite3", "rich"]


def modules_after(code: str) -> set[str]:
    """Names of the modules that some code loads into a fresh interpreter."""
    return _modules(code) - _modules("pass")  # measuring coverage loads some by itself


def _modules(code: str) -> set[str]:
    script = f"import sys\n{code}\nimport json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_the_export_list_is_exact():
    assert sorted(embedwell.__all__) == sorted(embedwell._PLACES)
    for name in embedwell.__all__:
        assert getattr(embedwell, name) is not None
    assert set(embedwell.__all__) <= set(dir(embedwell))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = embedwell.opne


def test_importing_the_package_loads_nothing_heavy():
    assert not modules_after("import embedwell").intersection([*HEAVY, "click"])


def test_help_loads_nothing_heavy():
    code = "from embedwell.cli.main import main\ntry:\n main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code).intersection(HEAVY)


def test_an_embedder_never_brings_in_torch_or_what_only_conversion_needs(real_cache):
    code = "import embedwell; embedwell.Embedder().embed(['a'])"
    loaded = modules_after(code)
    assert "onnxruntime" in loaded
    assert not loaded.intersection(
        ["torch", "transformers", "sentence_transformers", "onnx", "safetensors", "huggingface_hub"]
    )


def test_a_search_loads_nothing_that_it_could_do_without(real_cache, tmp_path):
    (tmp_path / "note.md").write_text("a note")
    with embedwell.open(tmp_path) as index:
        index.add_folder()
    code = f"import embedwell; embedwell.open({str(tmp_path)!r}).search('note')"
    assert not modules_after(code).intersection(["numpy.ma", "tree_sitter", "pypdf", "rich"])


@pytest.mark.parametrize(
    "target", [*ENGINES.values(), *STORES.values(), *CHUNKERS.values(), *EXTRACTORS.values()]
)
def test_every_name_in_every_registry_resolves(target):
    module, attribute = target.split(":")
    try:
        found = getattr(import_module(module), attribute)
    except EmbedwellError:  # it cannot be loaded here, but it is there
        source = Path(find_spec(module).origin).read_text("utf-8")
        assert f"\ndef {attribute}(" in source
    else:
        assert callable(found)


def test_a_users_code_is_typed(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text(
        "import embedwell\n"
        "import numpy as np\n"
        "import numpy.typing as npt\n"
        "embedder = embedwell.Embedder(quantization='q8')\n"
        "vectors: npt.NDArray[np.float32] = embedder.embed(['a'], kind='query')\n"
        "with embedwell.open('folder') as index:\n"
        "    ids: list[str] = index.add(['text'], ids=['1'], metadata=[{'year': 2020}])\n"
        "    report: embedwell.IndexReport = index.add_folder()\n"
        "    for result in index.search('text', where={'year': 2020}).results:\n"
        "        place: tuple[str, int] = (result.chunk.key, result.chunk.chunk.start_line)\n"
    )
    root = Path(embedwell.__file__).parent.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(sample)]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"MYPYPATH": str(root)}
    )
    assert run.returncode == 0, run.stdout + run.stderr
