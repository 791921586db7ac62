"""Addresses are read as applications write them, and never show a password."""

from __future__ import annotations

from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.errors import SettingsError
from embedwell.stores.postgres.address import parse_address
from embedwell.stores.postgres.upgrade import Names

_SECRETS = st.text(min_size=1, max_size=20).map(lambda text: f"S{text}T")


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        ("postgresql://", {}, "postgresql://"),
        ("postgres://h/d", {"host": "h", "dbname": "d"}, "postgresql://h/d"),
        (
            "postgresql+asyncpg://u:p%40@h:5/d?ssl=require&prepared_statement_cache_size=0",
            {"user": "u", "password": "p@", "host": "h", "port": "5", "dbname": "d"}
            | {"sslmode": "require"},
            "postgresql://u@h:5/d",
        ),
        (
            "postgresql+psycopg://u@/d?host=%2Frun%2Fpg&application_name=a%20b",
            {"user": "u", "host": "/run/pg", "dbname": "d", "application_name": "a b"},
            "postgresql://u@/d",
        ),
        (
            "PostgreSQL+psycopg2://a:1,b:2/d?target_session_attrs=read-write&ssl=false",
            {"host": "a,b", "port": "1,2", "dbname": "d", "target_session_attrs": "read-write"}
            | {"sslmode": "disable"},
            "postgresql://a:1,b:2/d",
        ),
        (
            "postgresql://[::1]:5432/d?schema=public&connection_limit=5",  # Prisma's
            {"host": "::1", "port": "5432", "dbname": "d"},
            "postgresql://[::1]:5432/d",
        ),
    ],
)
def test_addresses_of_applications_are_understood(text, parts, shown):
    address = parse_address(text)
    assert psycopg.conninfo.conninfo_to_dict(address.conninfo) == parts
    assert address.shown == shown
    assert address.names == Names()


def test_our_schema_and_version_table_are_named_in_the_address():
    address = parse_address("postgresql:///d?embedwell_schema=My%20notes&embedwell_version_table=v")
    assert address.names == Names("My notes", "v")
    assert address.conninfo == "postgresql:///d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mysql://h/d", "does not begin with postgresql://"),
        ("index.db", "does not begin with postgresql://"),
        ("postgresql://h/d?sslmod=require", "does not know: sslmod"),
        ("postgresql://h/d?embedwell_schema=", "embedwell_schema must have 1 to 63 bytes"),
        (f"postgresql://h/d?embedwell_schema={'é' * 32}", "1 to 63 bytes"),
        ("postgresql://u:a/b@h/d", "%2F"),
        ("postgresql://u:a#b@h/d", "%23"),
        ("postgresql://u:[@h/d", "%5B"),
    ],
)
def test_what_is_no_address_is_refused(text, said):
    with pytest.raises(SettingsError, match=said):
        parse_address(text)


@given(secret=_SECRETS, user=st.text(min_size=1, max_size=5))
def test_any_password_reaches_the_server_as_it_is(secret, user):
    address = parse_address(f"postgresql://{quote(user, safe='')}:{quote(secret, safe='')}@h/d")
    if "\0" in secret + user:
        return  # no password of PostgreSQL's has one
    parts = psycopg.conninfo.conninfo_to_dict(address.conninfo)
    assert (parts["password"], parts["user"]) == (secret, user)


@given(secret=_SECRETS, parameter=st.sampled_from(["", "?password=S3cretT", "?sslmode=require"]))
def test_no_password_is_shown_however_it_is_written(secret, parameter):
    text = f"postgresql://u:{secret}@h/d{parameter}"
    try:
        address = parse_address(text)
        told = f"{address.shown} {address!r}"
    except SettingsError as error:
        told = str(error)
    assert secret not in told
    assert "S3cret" not in told
