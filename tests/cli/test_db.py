from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper

import pytest

from embedwell.cli.main import main

pytest.importorskip("alembic")
psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def named(database, monkeypatch):
    """The database is the one that the application's variable names, with a password."""
    address = database.replace("postgresql://postgres:@", "postgresql+asyncpg://postgres:s3cret@")
    monkeypatch.setenv("DATABASE_URL", address)
    with psycopg.connect(database) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE events (id int, embedding vector(768))")
        connection.execute("CREATE INDEX near ON events USING hnsw (embedding vector_l2_ops)")
    return address


def test_a_schema_goes_up_and_down(named, run):
    assert (
        "no revision: nothing of embedwell's is there; the newest is 004"
        in run("db", "current").out
    )
    assert run("db", "upgrade", "001").out.endswith("schema embedwell: 001; the newest is 004\n")
    assert run("db", "upgrade").out.endswith("schema embedwell: 004\n")
    assert run("db", "current", "--json").json["revision"] == "004"
    asked = run("db", "downgrade", "001")
    assert asked.code == 2
    assert "add --yes to drop" in asked.err
    assert run("db", "current", "--json").json["revision"] == "004"
    assert run("db", "downgrade", "001", "--yes", "--json").json["revision"] == "001"
    refused = run("db", "downgrade", "base", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "001 is the baseline" in refused.err


def test_a_database_is_adopted_after_the_plan_was_shown(named, run):
    asked = run("db", "adopt")
    assert asked.code == 2
    assert "Nothing was changed. Add --yes" in asked.err
    assert (
        "public.events  embedding  vector(768)  0     public.near: hnsw, vector_l2_ops" in asked.out
    )
    planned = run("db", "adopt", "--json").json
    assert (planned["adopted"], planned["state"]["revision"]) == (False, None)
    assert planned["columns"][0]["dimensions"] == 768
    done = run("db", "adopt", "--yes")
    assert done.out == f"{asked.out}{run('db', 'current').out}"
    again = run("db", "adopt", "--yes", "--json")
    assert again.code == 1
    assert "is adopted already" in again.err


class Terminal(BytesIO):
    """Standard input where a person types."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_a_person_is_asked(named, monkeypatch, capsys, answer, code):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(Terminal(f"{answer}\n".encode())))
    with pytest.raises(SystemExit) as stop:
        main(["db", "adopt"])
    assert stop.value.code == code
    assert capsys.readouterr().out.endswith("the newest is 004\n" if code == 0 else "[y/N]: ")


def test_adopting_writes_json_of_what_was_done(named, run):
    done = run("db", "adopt", "--yes", "--json").json
    assert (done["adopted"], done["state"]["revision"]) == (True, "001")


def test_sql_is_written_without_a_server(run, monkeypatch):
    up = run("db", "upgrade", "--sql").out
    assert up.startswith("BEGIN;")
    assert up.endswith("COMMIT;\n\n")
    assert "CREATE TABLE collections" in up
    assert (
        "CREATE TABLE collections"
        in run("db", "upgrade", "001:head", "--sql", "--json").json["sql"]
    )
    down = run("db", "downgrade", "001", "--sql").out
    assert "DROP TABLE" in down
    assert run("db", "downgrade", "004:001", "--sql").out == down


def test_revisions_are_listed(run):
    assert [one["name"] for one in run("db", "history", "--json").json] == [
        "001",
        "002",
        "003",
        "004",
    ]
    assert run("db", "history").out.splitlines()[1].startswith("001       -        The baseline")


def test_the_address_is_taken_from_the_option_then_the_settings_then_the_application(
    new_database, run, monkeypatch
):
    addresses = [new_database() for _ in range(4)]
    named = []
    for variable in ("DATABASE_URL", "EMBEDWELL_DATABASE_URL", "EMBEDWELL_DB"):
        monkeypatch.setenv(variable, addresses.pop())
        named.append(run("db", "current", "--json").json["database"])
    named.append(run("db", "current", "--json", "--db", addresses.pop()).json["database"])
    assert len(set(named)) == 4


def test_an_index_file_has_no_server(run, monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDWELL_DB", str(tmp_path / "index.db"))
    assert "No database server is named" in run("db", "current").err
    assert (
        "is a file: it is brought up to date when it is opened"
        in run("db", "current", "--db", "index.db").err
    )
    monkeypatch.setenv("DATABASE_URL", "mysql://me:s3cret@host/app")
    refused = run("db", "current").err
    assert "There are no migrations for 'mysql'" in refused
    assert "s3cret" not in refused


def test_no_password_is_printed(named, run):
    for words in (["current"], ["adopt"], ["adopt", "--json"], ["upgrade"], ["upgrade", "--sql"]):
        ran = run("db", *words)
        assert "s3cret" not in ran.out + ran.err


def test_without_the_extra_the_command_to_install_it_is_given(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "alembic", None)
    refused = run("db", "upgrade", "--db", "postgresql://host/app")
    assert refused.code == 1
    assert 'pip install "embedwell[migrations]"' in refused.err
