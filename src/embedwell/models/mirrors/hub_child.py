"""A program that downloads files with the hub's client; `hub.py` runs it.

Standard input: one line of JSON, `{"repository", "revision", "names", "connect_s"}`; then it stays
open for as long as the answer is wanted. Standard output: a line of JSON a step, one of `{"folder":
where downloads grow}`, `{"file": name, "path": path}` and `{"reason": why the rest is missing}`.
Without `names` it lists the repository instead: `{"commit": id, "files": {name: {"sha256",
"size_bytes"}}}`, where the hash is empty for files that the hub publishes none of.
It imports nothing else of embedwell, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 1 << 16
_SHA256_DIGITS = 64
_GRACE_S = 1.0


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.readline())
    _prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # the client has removed its temporary file
        try:
            (_list if request["names"] is None else _fetch)(request)
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever the client raises
            _tell(reason=_reason(error, request))


def _prepare() -> None:
    """What the client reads when it is imported."""
    # Plain HTTP: the other protocol keeps a second cache, takes more memory and ends less readily.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    # Nothing about this machine is sent; it also spares a request before the first.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def _list(request: dict[str, Any]) -> None:
    from huggingface_hub import HfApi, constants  # noqa: PLC0415 - after `_prepare`

    if constants.HF_HUB_OFFLINE:
        _list_cached(request)
        return
    with _patience(2 * request["connect_s"]):  # the client imports much before it asks
        found = HfApi(library_name="embedwell").model_info(
            request["repository"],
            revision=request["revision"],
            files_metadata=True,
            timeout=request["connect_s"],
        )
    files = {
        one.rfilename: {"sha256": one.lfs.sha256 if one.lfs else "", "size_bytes": one.size or 0}
        for one in found.siblings or ()
    }
    _tell(commit=found.sha, files=files)


def _list_cached(request: dict[str, Any]) -> None:
    """What the client's cache has of the revision, for a machine that is set to be offline."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - after `_prepare`

    folder = Path(
        snapshot_download(
            request["repository"], revision=request["revision"], local_files_only=True
        )
    )
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    files = {
        name: {"sha256": _hash_in(path.resolve().name), "size_bytes": path.stat().st_size}
        for name, path in paths.items()
        if path.is_file()
    }
    _tell(commit=folder.name, files=files)


def _hash_in(blob: str) -> str:
    """The client names a big file by its SHA-256, and a small one by the hash of git."""
    return blob if len(blob) == _SHA256_DIGITS else ""


def _fetch(request: dict[str, Any]) -> None:
    from huggingface_hub import (  # noqa: PLC0415 - after `_prepare`
        constants,
        hf_hub_download,
        try_to_load_from_cache,
    )

    where = {"repo_id": request["repository"], "revision": request["revision"]}
    missing = []
    for name in request["names"]:
        path = try_to_load_from_cache(filename=name, **where)
        if isinstance(path, str):
            _tell(file=name, path=path)
        else:
            missing.append(name)
    if missing and constants.HF_HUB_OFFLINE:
        _tell(reason=f"is switched off (HF_HUB_OFFLINE), and its cache has no {', '.join(missing)}")
        return
    if missing:
        _knock(where, missing[0], request["connect_s"])
        folder = f"models--{request['repository'].replace('/', '--')}"
        _tell(folder=str(Path(constants.HF_HUB_CACHE, folder, "blobs")))
    constants.DOWNLOAD_CHUNK_SIZE = _BLOCK  # 10 MB at a time tells too little on a slow line
    for name in missing:
        path = hf_hub_download(
            filename=name,
            etag_timeout=request["connect_s"],
            library_name="embedwell",
            **where,
        )
        _tell(file=name, path=path)


def _knock(where: dict[str, str], name: str, connect_s: float) -> None:
    """Ask once for a file's metadata: what is wrong shows here, without the client's retries."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - see _fetch

    with _patience(connect_s):
        get_hf_file_metadata(hf_hub_url(filename=name, **where), timeout=connect_s)


@contextlib.contextmanager
def _patience(connect_s: float) -> Iterator[None]:
    """End the program where the hub does not answer in time."""
    from huggingface_hub import constants  # noqa: PLC0415 - see _fetch

    def give_up() -> None:
        _tell(reason=f"{constants.ENDPOINT} did not answer in {connect_s:g} s")
        os._exit(0)  # nothing was begun; name resolution cannot be interrupted otherwise

    timer = threading.Timer(connect_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(error: BaseException, request: dict[str, Any]) -> str:
    """What went wrong, in a clause that follows the hub's name."""
    from huggingface_hub import constants, errors  # noqa: PLC0415 - see _fetch

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    what = f"{request['repository']} at revision {request['revision']}"
    if isinstance(error, errors.GatedRepoError):
        return f"guards {what}: accept its terms there and set HF_TOKEN ({status})"
    if isinstance(error, errors.RepositoryNotFoundError) or status in {401, 403}:
        return f"has no {what} that it would show without another HF_TOKEN ({status})"
    if isinstance(error, errors.RevisionNotFoundError | errors.EntryNotFoundError) and status:
        return f"does not have these files of {what} ({status})"
    if status is not None:
        return f"{constants.ENDPOINT} answered {status}"
    cause = error.__cause__ or error
    first = (str(cause).splitlines() or [""])[0]
    return f"{constants.ENDPOINT} cannot give the files ({first or type(cause).__name__})"


def _end_with_parent() -> None:
    """Standard input ends when the parent has no more use for the answer, or has died."""
    sys.stdin.read()
    main_thread = threading.main_thread().ident
    if os.name != "nt" and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGINT)
        time.sleep(_GRACE_S)
    os._exit(1)


def _tell(**fields: object) -> None:
    sys.stdout.write("\n" + json.dumps(fields) + "\n")  # whatever the client has written before
    sys.stdout.flush()


if __name__ == "__main__":
    main()
