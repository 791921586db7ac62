"""Nothing that the OpenAPI description allows makes the service fail."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from serving import MODEL, RunningService

PROGRAM = Path(sys.executable).with_name("schemathesis")
# An answer without an end.
ENDLESS = ("/v1/events",)


def with_real_models(part: Any) -> Any:
    """The description, but every `model` in it is one that the service has."""
    if isinstance(part, list):
        return [with_real_models(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {name: with_real_models(value) for name, value in part.items()}
    if isinstance(found.get("properties"), dict) and "model" in found["properties"]:
        found["properties"] |= {"model": {"enum": [MODEL, f"{MODEL}@q8"]}}
    if found.get("in") == "path" and found.get("name") == "model":
        found["schema"] = {"enum": [MODEL, f"{MODEL}@q8"]}
    return found


@pytest.mark.skipif(not PROGRAM.exists(), reason="schemathesis is not installed")
@pytest.mark.parametrize("real_models", [False, True], ids=["any-model", "real-models"])
def test_schemathesis_finds_no_server_error(service: RunningService, real_models, tmp_path):
    with urllib.request.urlopen(f"{service.base_url}/openapi.json") as answer:
        description = json.load(answer)
    for path in ENDLESS:
        description["paths"].pop(path, None)
    if real_models:
        description = with_real_models(description)
    (tmp_path / "openapi.json").write_text(json.dumps(description))
    command = [
        *(PROGRAM, "run", "openapi.json", "--url", service.base_url),
        *("--checks", "not_a_server_error,content_type_conformance,status_code_conformance"),
        *("--phases", "fuzzing", "--mode", "all", "--max-examples", "20"),
        *("--generation-deterministic", "--suppress-health-check", "all"),
        *("--request-timeout", "20", "--no-color"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-8000:]
    assert service.process.poll() is None
    assert "Traceback" not in service.errors()
