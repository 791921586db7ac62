"""`artifact.json`: what an artifact is and the bytes that it must have."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedwell.core.artifact import Artifact
from embedwell.core.errors import WrongBytesError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.models.blobs import check_bytes, sha256_of
from embedwell.models.catalogue import PinnedFile

MANIFEST = "artifact.json"
_FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What is known of an artifact's folder.

    Attributes:
        artifact: The artifact.
        files: Hash and size of each file, by name.
        mtimes_ns: When each was last changed; a file with another time is hashed again.
    """

    artifact: Artifact
    files: Mapping[str, PinnedFile]
    mtimes_ns: Mapping[str, int]

    def check_quickly(self) -> None:
        """Look for missing, cut and later changed files; reads no file that has its old time.

        Raises:
            WrongBytesError: One is damaged.
            OSError: One is missing or cannot be read.
        """
        for name, pin in self.files.items():
            path = self.artifact.folder / name
            stat = path.stat()
            if (stat.st_size, stat.st_mtime_ns) == (pin.size_bytes, self.mtimes_ns[name]):
                continue
            check_bytes(path, pin, Watch())
            with suppress(OSError):  # copied or restored, but whole: do not hash it every time
                os.utime(path, ns=(stat.st_atime_ns, self.mtimes_ns[name]))

    def check_fully(self, watch: Watch) -> None:
        """Hash every file.

        Raises:
            WrongBytesError: One is damaged.
            OSError: One is missing or cannot be read.
            TaskCancelledError: The watch asked to stop.
        """
        for name, pin in self.files.items():
            check_bytes(self.artifact.folder / name, pin, watch)


def write_manifest(artifact: Artifact, watch: Watch) -> None:
    """Hash what lies in an artifact's folder and write it down there."""
    paths = sorted(path for path in artifact.folder.iterdir() if path.name != MANIFEST)
    fields = asdict(artifact) | {
        "format": _FORMAT,
        "files": {
            path.name: {
                "sha256": sha256_of(path, watch),
                "size_bytes": path.stat().st_size,
                "mtime_ns": path.stat().st_mtime_ns,
            }
            for path in paths
        },
    }
    del fields["folder"]  # it can be moved
    text = json.dumps(fields, indent=2) + "\n"
    (artifact.folder / MANIFEST).write_text(text, "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """What a folder says of itself.

    Raises:
        WrongBytesError: `artifact.json` is not one of this format.
        OSError: It is missing or cannot be read.
    """
    text = (folder / MANIFEST).read_bytes()
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("format") != _FORMAT:
            raise ValueError("another format")  # noqa: TRY301 - told in one place
        files: dict[str, dict[str, Any]] = fields.pop("files")
        space = Space(**fields.pop("space"))
        return Manifest(
            artifact=Artifact(space=space, folder=folder, **fields),
            files={
                name: PinnedFile(row["sha256"], row["size_bytes"]) for name, row in files.items()
            },
            mtimes_ns={name: row["mtime_ns"] for name, row in files.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongBytesError(
            f"{folder / MANIFEST} does not describe an artifact ({error}).",
            f"Remove the folder {folder}; it is made again when it is needed.",
        ) from error
