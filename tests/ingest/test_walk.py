from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedwell.ingest.walk import walk


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def keys(root: Path) -> list[str]:
    return [candidate.key for candidate in walk(root, lambda _: None)]


def skipped(root: Path) -> dict[str, str]:
    found = []
    list(walk(root, found.append))
    return {thing.key: thing.reason for thing in found}


def test_files_come_in_order_with_size_and_time(tmp_path):
    tree(tmp_path, "b.md", "a.md", "sub/c.md")
    found = list(walk(tmp_path, lambda _: None))
    assert [candidate.key for candidate in found] == ["a.md", "b.md", "sub/c.md"]
    assert found[0].size_bytes == 1
    assert found[0].mtime_ns == (tmp_path / "a.md").stat().st_mtime_ns


def test_hidden_and_tool_folders_are_left_out(tmp_path):
    tree(tmp_path, ".git/config", ".hidden.md", "node_modules/a.js", "__pycache__/a.py", "kept.md")
    assert keys(tmp_path) == ["kept.md"]


def test_ignore_rules_agree_with_git(tmp_path):
    names = [
        "a.log",
        "keep.log",
        "build/x.md",
        "docs/build/y.md",
        "docs/z.tmp",
        "docs/deep/z.tmp",
        "docs/deep/w.md",
        "src/gen/one.py",
        "src/gen/two.py",
        "espace fin .md",
        "été.md",
    ]
    tree(tmp_path, *names)
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/build/\nsrc/gen/*\n!src/gen/two.py\n")
    (tmp_path / "docs/.gitignore").write_text("*.tmp\n!deep/z.tmp\n# comment\n\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    visible = [name for name in listed.stdout.split("\0") if name and ".gitignore" not in name]
    assert sorted(keys(tmp_path)) == sorted(visible)


@pytest.mark.parametrize(
    "line", ["!", "\\", "a\\", "[z-a]", "/", "[", "[[:alpha:]]", "\ufeff#", "a\0"]
)
def test_a_line_that_is_no_pattern_hides_no_other(tmp_path, line):
    tree(tmp_path, "x.md", "x.log")
    (tmp_path / ".gitignore").write_text(f"{line}\n*.log\n", "utf-8")
    assert keys(tmp_path) == ["x.md"]


def test_a_mark_and_line_ends_of_windows_are_no_part_of_a_pattern(tmp_path):
    tree(tmp_path, "x.md", "x.log", "build/y.md")
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.log\r\nbuild/\r\n")
    assert keys(tmp_path) == ["x.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_gitignore_that_is_a_pipe_is_not_waited_for(tmp_path):
    tree(tmp_path, "x.md")
    os.mkfifo(tmp_path / ".gitignore")
    assert keys(tmp_path) == ["x.md"]


def test_rules_above_the_folder_hold_inside_a_repository(tmp_path):
    tree(tmp_path, ".git/HEAD", "sub/inner/a.log", "sub/inner/b.md", "sub/inner/c.txt")
    (tmp_path / ".gitignore").write_text("*.log\n/sub/inner/c.txt\n")
    assert keys(tmp_path / "sub/inner") == ["b.md"]


def test_links_are_left_out_and_told(tmp_path):
    tree(tmp_path, "inside/a.md", "outside/secret.md")
    root = tmp_path / "inside"
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "out.md").symlink_to(tmp_path / "outside/secret.md")
    (root / "dangling").symlink_to(root / "nowhere")
    assert keys(root) == ["a.md"]
    assert skipped(root) == dict.fromkeys(["loop", "out.md", "dangling"], "is a symbolic link")


def test_a_deep_tree_is_walked(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):  # deeper than the recursion limit would allow by far with long names
        os.mkdir("d" * 10, dir_fd=here)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    tree(tmp_path, "top.md", "/".join(["d" * 10] * 300) + "/bottom.md")
    assert [key[-9:] for key in keys(tmp_path)] == ["top.md", "bottom.md"]


def test_a_name_that_is_not_utf8_gets_a_readable_key(tmp_path):
    if sys.platform != "linux":
        pytest.skip("names are always Unicode here")
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    Path(os.fsdecode(path)).write_text("x")
    assert keys(tmp_path) == ["caf\\xe9.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_regular_file_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.md")
    assert keys(tmp_path) == []


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    tree(tmp_path, "closed/a.md", "open/b.md")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr("embedwell.ingest.walk.os.scandir", refuse)
        assert keys(tmp_path) == ["open/b.md"]
        assert skipped(tmp_path) == {"closed/": "cannot be listed: Permission denied"}
