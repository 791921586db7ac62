"""What matters in compose.yaml, without a container engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from embedwell.app.config.rules import TYPES

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]


def _environment():
    return [item for service in SERVICES.values() for item in service["environment"].items()]


def test_no_secret_is_committed_and_each_is_asked_for():
    secret = [(name, value) for name, value in _environment() if re.search("PASSWORD|KEY", name)]
    assert {name for name, _ in secret} == {"POSTGRES_PASSWORD", "PGPASSWORD", "EMBEDWELL_API_KEY"}
    for name, value in secret:
        assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), name
    addresses = [value for name, value in _environment() if name.endswith("_URL")]
    assert addresses == ["postgresql://embedwell@database/embedwell"]


def test_our_variables_are_settings():
    ours = [name for name, _ in _environment() if name.startswith("EMBEDWELL_")]
    assert {name.removeprefix("EMBEDWELL_").lower() for name in ours} <= set(TYPES)


def test_the_service_waits_for_a_healthy_database_with_pgvector():
    assert SERVICES["database"]["image"].startswith("pgvector/pgvector:")
    assert SERVICES["embedwell"]["depends_on"] == {"database": {"condition": "service_healthy"}}


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_looked_after(service):
    settings = SERVICES[service]
    assert settings["healthcheck"]["test"][0] == "CMD"
    assert settings["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in settings["ports"])  # not the network's
    named = [place for place in settings["volumes"] if re.match(r"\w+:", place)]
    assert named
    assert {place.partition(":")[0] for place in named} <= set(COMPOSE["volumes"])


def test_what_the_image_copies_is_let_through():
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    copied = re.findall(r"^COPY (.+) /\S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(let_in)
    assert all((ROOT / name).exists() for name in let_in)
