"""Ask the C library to keep less memory for itself."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

# mallopt(3): by default there may be eight arenas per CPU, and each keeps what was freed in it.
_M_ARENA_MAX = -8
_N_ARENAS = 2


def keep_few_arenas() -> None:
    """Bound the arenas of glibc's malloc; does nothing where there is no such thing."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _N_ARENAS)
