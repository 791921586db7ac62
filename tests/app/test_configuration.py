from __future__ import annotations

from pathlib import Path

import pytest

from embedwell.app.configuration import load
from embedwell.app.settings import PERSONAL, TYPES, meta
from embedwell.core.errors import SettingsError


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    (folder / ".embedwell").mkdir(parents=True)
    (tmp_path / "config/embedwell").mkdir(parents=True)
    return folder


def write_user(project: Path, text: str) -> None:
    (project.parent / "config/embedwell/config.toml").write_text(text)


def write_project(project: Path, text: str) -> None:
    (project / ".embedwell/config.toml").write_text(text)


def test_the_stronger_source_wins(project, monkeypatch):
    sources = [
        lambda: write_user(project, "threads = 1"),
        lambda: write_project(project, "threads = 2"),
        lambda: (project / ".env").write_text("EMBEDWELL_THREADS=3\n"),
        lambda: monkeypatch.setenv("EMBEDWELL_THREADS", "4"),
    ]
    assert load(folder=project).settings.threads == 0
    for expected, add in enumerate(sources, start=1):
        add()
        assert load(folder=project).settings.threads == expected
    assert load({"threads": 5}, project).settings.threads == 5


def test_where_each_value_came_from_is_known(project, monkeypatch):
    write_project(project, 'quantization = "q16"')
    monkeypatch.setenv("EMBEDWELL_MODEL", "x")
    origins = load({"threads": 2}, project).origins
    assert origins["quantization"] == str(Path(".embedwell/config.toml"))
    assert origins["model"] == "environment"
    assert origins["threads"] == "argument"
    assert origins["cache"] == "default"


def test_all_faults_are_reported_at_once(project, monkeypatch):
    write_user(project, "not toml")
    write_project(project, 'quantization = "q5"\nunknown = 1')
    monkeypatch.setenv("EMBEDWELL_THREADS", "many")
    with pytest.raises(SettingsError) as caught:
        load(folder=project)
    for part in ("4 settings are wrong", "config.toml cannot be read", "'q5'", "'unknown'", "many"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_a_projects_file_may_not_set_what_is_personal(project, name):
    write_project(project, f'{name} = "/elsewhere"')
    with pytest.raises(SettingsError, match=f"{name} may not be set by"):
        load(folder=project)


@pytest.mark.parametrize("budget", ["80%", "1.5GiB", "500MB", "4096"])
def test_budgets_as_people_write_them(project, budget):
    assert load({"memory_budget": budget}, project).settings.memory_budget == budget


@pytest.mark.parametrize("budget", ["", "lots", "-1", "80 %%", "1XiB"])
def test_budgets_that_are_none(project, budget):
    with pytest.raises(SettingsError, match="memory_budget"):
        load({"memory_budget": budget}, project)


def test_paths_know_the_home(project, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CACHE", "~/models")
    assert load(folder=project).settings.cache == Path("~/models").expanduser()


def test_every_setting_says_what_it_means():
    for name in TYPES:
        assert meta(name).description.endswith("."), name
