from __future__ import annotations

from pathlib import Path

import pytest

from embedwell.app.config.configuration import load
from embedwell.app.config.rules import TYPES, meta
from embedwell.app.config.settings import Settings
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


def test_a_user_without_a_home_is_told_what_to_set(project, monkeypatch):
    pwd = pytest.importorskip("pwd")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as in a container: a bare number
    with pytest.raises(SettingsError, match="Set HOME"):
        load(folder=project)
    with pytest.raises(SettingsError, match="Set HOME"):
        Settings()


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
    monkeypatch.setenv("EMBEDWELL_SOCKET", "/" + "x" * 120)
    with pytest.raises(SettingsError) as caught:
        load(folder=project)
    for part in (
        "5 settings are wrong",
        "config.toml cannot be read",
        "'q5'",
        "'unknown'",
        "many",
        "may have",
    ):
        assert part in str(caught.value)


GOOD = {
    "index": "exact",
    "model": "sentence-transformers/all-MiniLM-L6-v2@q8",
    "quantization": "q8",
    "quantization_policy": "table",
    "engine": "openvino",
    "memory_budget": "100%",
    "embeddings": "false",
    "vector_cache_size": "0",
    "vector_cache_float16": "true",
    "max_file": "1.5 MiB",
    "cache": "~/cache",
    "model_files": "~/files",
    "db": "~/index.db",
    "code_domain": "hybrid",
    "service": "require",
    "socket": "~/s",
    "host": "::1",
    "api_key": "k3y-~!",
    "cors_origins": "https://app.example, http://localhost:3000",
    "preload": "all-minilm:latest",
    "pinned": "all-minilm",
    "indexes": "~/notes, ~/code",
    "max_request": "16MB",
    "remote_url": "https://api.example.com/v1",
    "remote_dialect": "tei",
    "remote_model": "all-minilm:latest, nomic-embed-text-v1.5=nomic",
    "remote_api_key": "k3y-~!",
}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_setting_takes_a_value_from_a_variable(project, monkeypatch, name):
    monkeypatch.setenv(f"EMBEDWELL_{name.upper()}", GOOD.get(name, "7"))
    loaded = load(folder=project)
    assert loaded.origins[name] == "environment"
    assert isinstance(getattr(loaded.settings, name), (str, int, float, tuple, Path))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("host", "http://localhost", "a name or an address such as 127.0.0.1"),
        ("host", "127.0.0.1:80", "a name or an address"),
        ("host", "[::1]", "a name or an address"),
        ("host", "two words", "a name or an address"),
        ("port", "65536", "65535"),
        ("port", "-1", ">= 0"),
        ("port", "http", "int"),
        ("max_request", "much", "a size such as 2MiB"),
        ("max_request", "0MiB", "a size such as 2MiB"),
        ("max_file", "-1", "a size such as 2MiB"),
        ("vector_cache_size", "1XB", "a size such as 2MiB"),
        ("memory_budget", "101%", "a share up to 100%"),
        ("memory_budget", "0", "a share up to 100%"),
        ("idle_s", "-1", ">= 0"),
        ("request_timeout_s", "0", "> 0"),
        ("request_timeout_s", "nan", "> 0"),
        ("request_timeout_s", "inf", "<= 86400"),
        ("vector_cache_ttl_s", "inf", "<= 1"),
        ("max_waiting", "0", ">= 1"),
        ("cors_origins", "app.example", "origins such as https://app.example"),
        ("cors_origins", "https://app.example/path", "origins such as"),
        ("preload", "./model", "names as in `embedwell models list`"),
        ("socket", "/" + "x" * 120, "may have 103"),
        ("service", "maybe", "expected one of auto, start, require, off"),
        ("quantization", "q5", "expected one of q4, q8, q16, q32, auto"),
        ("remote_dialect", "soap", "expected one of auto, ollama, openai, koboldcpp, tei"),
    ],
)
def test_a_wrong_value_is_told_with_what_it_should_be(project, monkeypatch, name, value, expected):
    monkeypatch.setenv(f"EMBEDWELL_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        load(folder=project)
    assert name in str(caught.value)
    assert expected in str(caught.value)


def test_what_a_cluster_sets_for_a_service_of_our_name_is_no_setting(project, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_SERVICE_HOST", "10.0.0.7")
    monkeypatch.setenv("EMBEDWELL_SERVICE_PORT", "8437")
    monkeypatch.setenv("EMBEDWELL_SERVICE_PORT_HTTP", "8437")
    monkeypatch.setenv("EMBEDWELL_PORT", "tcp://10.0.0.7:8437")
    monkeypatch.setenv("EMBEDWELL_PORT_8437_TCP_ADDR", "10.0.0.7")
    assert load(folder=project).settings.port == 8437
    monkeypatch.setenv("EMBEDWELL_PORT", "http")
    with pytest.raises(SettingsError, match="port = 'http' from environment"):
        load(folder=project)


def test_a_wrong_secret_is_not_repeated(project, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_API_KEY", "wrong key")
    with pytest.raises(SettingsError, match="api_key from environment: expected visible") as caught:
        load(folder=project)
    assert "wrong key" not in str(caught.value)


def test_a_user_file_that_cannot_be_read_is_told(project):
    (project.parent / "config/embedwell/config.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load(folder=project)


def test_a_mark_of_the_byte_order_is_no_part_of_a_file(project):
    mark = b"\xef\xbb\xbf"
    (project / ".embedwell/config.toml").write_bytes(mark + b"threads = 2\r\n")
    (project / ".env").write_bytes(mark + b"EMBEDWELL_CANARY=3\r\n")
    settings = load(folder=project).settings
    assert (settings.threads, settings.canary) == (2, 3)


def test_lines_of_a_dotenv_that_cannot_be_read_are_told_where_they_are_ours(project, caplog):
    file = project / ".env"
    file.write_text('not a line\nA="open\nEMBEDWELL_THREADS=2\n')
    assert load(folder=project).settings.threads == 2
    file.write_text('A=1\nEMBEDWELL_MODEL="open\nEMBEDWELL_THREADS=two\n')
    with pytest.raises(SettingsError, match=r"2 settings.*\.env cannot be read in line 2.*'two'"):
        load(folder=project)
    assert not caplog.records


def test_a_password_in_a_wrong_address_is_not_repeated(project):
    with pytest.raises(SettingsError, match="remote_url = 'https://me@host'") as caught:
        load({"remote_url": "https://me:secret@host"}, project)
    assert "secret" not in str(caught.value)


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


def test_common_names_answer_below_our_own(project, monkeypatch):
    monkeypatch.setenv("EMBEDDING_MODEL", "a-text-model")
    monkeypatch.setenv("CODE_EMBEDDING_MODEL", "someone/a-code-model")
    monkeypatch.setenv("EMBEDDING_DIMENSION", "768")
    monkeypatch.setenv("CODE_EMBEDDING_DIMENSION", "768")
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/app")
    loaded = load(folder=project)
    settings = loaded.settings
    assert (settings.model, settings.code_model) == ("a-text-model", "someone/a-code-model")
    assert (settings.dimensions, settings.code_dimensions) == (768, 768)
    assert settings.database_url == "postgresql://host/app"
    assert loaded.origins["model"] == "EMBEDDING_MODEL"
    monkeypatch.setenv("EMBEDWELL_MODEL", "ours")
    monkeypatch.setenv("DATABASE_URL", "mysql://host/app")
    again = load(folder=project)
    assert (again.settings.model, again.origins["model"]) == ("ours", "environment")
    assert again.settings.database_url == ""


def test_an_index_file_goes_before_the_database_of_an_application(project, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/app")
    file = project / ".embedwell" / "index.db"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    (project / "below").mkdir()
    assert load(folder=project).settings.database_url == ""
    assert load(folder=project / "below").settings.database_url == ""
    monkeypatch.setenv("EMBEDWELL_DATABASE_URL", "postgresql://host/ours")
    assert load(folder=project).settings.database_url == "postgresql://host/ours"


def test_a_wrong_value_of_a_common_name_is_told_with_the_others(project, monkeypatch):
    monkeypatch.setenv("EMBEDDING_DIMENSION", "many")
    monkeypatch.setenv("EMBEDWELL_CODE_DOMAIN", "both")
    with pytest.raises(SettingsError, match="2 settings are wrong") as caught:
        load(folder=project)
    assert "dimensions = 'many' from EMBEDDING_DIMENSION" in caught.value.problem
    assert "code_domain = 'both' from environment" in caught.value.problem


def test_lengths_of_one_index_that_differ_ask_for_a_migration(project):
    pair = {"code_model": "a-code-model", "dimensions": 768, "code_dimensions": 384}
    with pytest.raises(SettingsError, match=r"768 and code_dimensions 384.*migration"):
        load(pair, project)
    assert load(pair | {"code_dimensions": 0}, project).settings.dimensions == 768
    assert load(pair | {"code_model": None}, project).settings.code_dimensions == 384
