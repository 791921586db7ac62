from __future__ import annotations

import errno
import shutil

import pytest

from embedwell.ingest.sources.folder import Folder


@pytest.fixture
def listed(tmp_path):
    """A folder of two files, and what its reader listed of it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.md", "b.md"):
        (folder / name).write_text(f"the text of {name}")
    reader = Folder(folder)
    return folder, reader, list(reader.items(lambda _: None))


def test_a_file_that_has_gone_is_told_from_a_folder_that_has_gone(listed):
    folder, reader, (first, second) = listed
    (folder / "a.md").unlink()
    with pytest.raises(FileNotFoundError):
        reader.read(first)
    (folder / "b.md").unlink()
    with pytest.raises(OSError, match="empty or not there") as emptied:
        reader.read(second)
    shutil.rmtree(folder)
    with pytest.raises(OSError, match="empty or not there") as removed:
        reader.read(second)
    assert emptied.value.errno == removed.value.errno == errno.ESTALE
