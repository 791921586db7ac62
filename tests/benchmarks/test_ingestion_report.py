from benchmarks.ingestion_section import ingestion
from benchmarks.targets import verdicts

from benchmarks import file_tree
from embedwell.ingest.walk import walk


def listed(root):
    return [file.key for file in walk(root, lambda _: None)]


def test_the_tree_is_wide_deep_mixed_and_partly_ignored(tmp_path):
    n_folders = file_tree.make(tmp_path / "tree", 3_000, ["one", "two", "three"])
    found = listed(tmp_path / "tree")
    assert n_folders > 1_000
    assert len(found) == 2_750
    assert max(key.count("/") for key in found) > 50
    assert {key.rpartition(".")[2] for key in found} == set(file_tree.SUFFIXES)


def test_a_part_of_its_texts_changes(tmp_path):
    file_tree.make(tmp_path / "tree", 300, ["word"])
    before = {file: file.read_text() for file in (tmp_path / "tree").rglob("file*")}
    n = file_tree.change(tmp_path / "tree", 10)
    assert n == sum(file.read_text() != text for file, text in before.items()) > 20


def whole(store):
    return {
        "store": store, "n_files": 130_000, "walk_files_per_s": 90_000,
        "queued_files_per_s": 30_000, "bytes_per_file": 300, "unchanged_s": 2.5, "n_changed": 9,
        "n_changed_done": 9, "changed_s": 3.0, "documents_per_s": 2_000,
        "rss_mb": [50.0, 60.0, 61.0, 61.0], "peak_mb": 62.0,
    }  # fmt: skip


def run(**others):
    return {"store": "SQLite", "n_workers": 2, "n_documents": 20, "seconds": 2.0} | others


def test_the_section_and_the_targets_show_what_was_measured():
    share = {"n_files": 9, "n_chunks": 9, "index_s": 10.0, "raw_embedding_s": 9.0}
    share |= {"folder": "10,000 small files", "n_cores": 1, "raw_share": 0.9, "index_peak_mb": 99}
    peer = {"n": 50, "seconds": 5.0, "raw_s": 4.0}
    part = {
        "n_files": 130_000, "n_folders": 2_520, "n_cores": 2,
        "whole": [whole("SQLite"), whole("PostgreSQL")],
        "ceiling": [run(documents_per_s=3_000, chunks_per_s=3_100)],
        "real": [run(documents_per_s=500.0)],
        "machines": {
            "n_documents": 5_000, "ms_per_text": 8.0, "ratio": 3.7,
            "one_worker": {"documents_per_s": 120.0, "n_searches": 0},
            "four_workers": {"documents_per_s": 450.0, "n_searches": 9, "search_p50_ms": 10.1},
        },
        "shares": [share, share | {"folder": "documents and modules", "n_cores": 2}],
        "peer": {"first": peer, "again": peer, "changed": peer},
    }  # fmt: skip
    page = ingestion(part)
    assert "| SQLite | 130,000 | 90,000 | 30,000 | 2,000 | 2.50 | 9 / 9 | 3.0 |" in page
    assert "| first | 5.00 | 10 | 0.80 |" in page
    assert "SQLite 50 at its begin, then 60, 61, 61" in page
    assert "four workers do 3.7 times what one does" in page
    assert "| 4 | 450 | 9 | 10.1 | - |" in page
    without = ingestion(
        part
        | {"machines": {"missing": "not here"}}
        | {"peer": {"missing": "langchain: it did not install"}}
    )
    assert "Left out: langchain" in without
    assert "Left out: not here" in without
    found = {v.target.what: v.met for v in verdicts({"ingestion": part}) if v.value is not None}
    assert len(found) == 8
    assert found.pop("end to end, documents and modules, of the bare rate, two cores") is False
    assert all(found.values())
