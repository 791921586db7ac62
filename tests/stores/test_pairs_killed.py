"""An index that becomes a pair and is undone again is whole, whenever its process is killed."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
from store_samples import SETTINGS, item, signs

from embedwell.stores.protocol import Filter
from embedwell.stores.spaces import EVERYTHING, TEXT_ALONE
from embedwell.stores.sqlite import SqliteStore
from kills import killed

N_KILLS = 10
TO_A_PAIR_AND_BACK = """
from pathlib import Path
import numpy as np
from store_samples import CODE_SPACE, SPACE, code_item, item, signs, wide
from embedwell.stores.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]))

def fill(number, vector):
    while missing := store.spaces.missing(number, 0, 40):
        ids = np.array([found.id for found in missing])
        store.spaces.fill(number, ids, np.array([vector(int(n)) for n in ids]))

print("ready", flush=True)
code = store.spaces.add(CODE_SPACE, "next", "", holds=("code",)).number
fill(code, wide)
store.spaces.switch(code, keep=False)
print("hybrid", flush=True)
store.spaces.split()
print("split", flush=True)
for n in range(40):
    text, code_text = item(f"t{n}.md", [f"new {n}"]), code_item(f"t{n}.py", [f"new {n}", "two"])
    store.put([text, code_text], space=1, code=code)
    store.delete([f"d{n}.md", f"d{n}.py"])
print("written", flush=True)
whole = store.spaces.add(SPACE, "next", "", holds=("text", "code")).number
fill(whole, signs)
store.spaces.switch(whole, keep=False)
store.spaces.drop(code)
print("undone", flush=True)
"""
STATES = {"": False, "hybrid": True, "split": True, "written": True, "undone": False}


def test_killed_at_any_moment_every_passage_is_found_in_a_space_that_holds_it(tmp_path: Path):
    source = tmp_path / "source.db"
    with closing(SqliteStore.create(source, SETTINGS)) as store:
        for n in range(100):
            store.put([item(f"d{n}.md", [f"text {n}", "two"])])
            store.put([item(f"d{n}.py", [f"code {n}", "two"], kind="code", language="python")])
    for n in range(N_KILLS):
        path = tmp_path / f"{n}.db"
        shutil.copy(source, path)
        told = ["", *killed(TO_A_PAIR_AND_BACK, [path], 0.015 * n)][-1]
        with closing(SqliteStore.open(path)) as store:
            assert store.check() == []
            main, code = store.spaces.main(), store.spaces.code()
            assert STATES[told] <= (code is not None) or told == "written"
            assert main.holds == EVERYTHING or code is not None
            found = set(store.nearest(signs(1), 999, Filter()).ids.tolist())
            if code is not None:
                width = code.space.dimensions
                near = store.nearest(np.ones(width), 999, Filter(), space=code.number)
                assert bool(found & set(near.ids.tolist())) == (main.holds != TEXT_ALONE)
                found |= set(near.ids.tolist())
            assert len(found) == store.counts().chunks
