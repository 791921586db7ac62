"""What PostgreSQL's own catalog says of a schema, as values that can be compared."""

from __future__ import annotations

import psycopg

_QUESTIONS = {
    "relations": "SELECT relname, relkind::text, relpersistence::text, reloptions FROM pg_class "
    "WHERE relnamespace = %(schema)s",
    "columns": "SELECT relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, "
    "attidentity::text, attgenerated::text, attcollation::regcollation::text, "
    "attstorage::text, attcompression::text, pg_get_expr(adbin, adrelid) FROM pg_attribute "
    "JOIN pg_class ON pg_class.oid = attrelid "
    "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
    "WHERE relnamespace = %(schema)s AND attnum > 0 AND NOT attisdropped",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
    "FROM pg_constraint WHERE connamespace = %(schema)s",
    "indexes": "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
    "JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relnamespace = %(schema)s",
    "views": "SELECT relname, pg_get_viewdef(oid) FROM pg_class "
    "WHERE relnamespace = %(schema)s AND relkind IN ('v', 'm')",
    "functions": "SELECT pg_get_functiondef(oid) FROM pg_proc "
    "WHERE pronamespace = %(schema)s AND prokind <> 'a'",
    "triggers": "SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger "
    "JOIN pg_class ON pg_class.oid = tgrelid "
    "WHERE relnamespace = %(schema)s AND NOT tgisinternal",
    "types": "SELECT typname, typtype::text FROM pg_type WHERE typnamespace = %(schema)s",
    "dictionaries": "SELECT dictname, dicttemplate::text, dictinitoption FROM pg_ts_dict "
    "WHERE dictnamespace = %(schema)s",
    "text searches": "SELECT cfgname, maptokentype, mapseqno, mapdict::regdictionary::text "
    "FROM pg_ts_config JOIN pg_ts_config_map ON mapcfg = pg_ts_config.oid "
    "WHERE cfgnamespace = %(schema)s",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_extension",
    "rights": "SELECT nspowner::regrole::text, nspacl::text FROM pg_namespace "
    "WHERE oid = %(schema)s",
}


def catalog(address: str, schema: str = "embedwell") -> dict[str, list[str]]:
    """By kind: all that is in a schema, in an order that does not depend on how it came there."""
    with psycopg.connect(address) as connection:
        connection.execute("SET search_path TO pg_catalog")
        oid = _oid(connection, schema)
        return {
            kind: sorted(map(repr, connection.execute(question, {"schema": oid})))
            for kind, question in _QUESTIONS.items()
        }


def identities(address: str, schema: str = "embedwell") -> list[tuple]:
    """Number and last change of each relation of a schema: the same only if nothing was done."""
    with psycopg.connect(address) as connection:
        question = "SELECT oid, xmin::text FROM pg_class WHERE relnamespace = %s ORDER BY 1"
        return connection.execute(question, [_oid(connection, schema)]).fetchall()


def _oid(connection: psycopg.Connection, schema: str) -> int:
    found = connection.execute("SELECT oid FROM pg_namespace WHERE nspname = %s", [schema])
    return found.fetchone()[0]
