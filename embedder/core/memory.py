"""Memory given back to the system by processes that live long and hold large arrays now and then."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

__all__ = ["release_memory"]


def release_memory() -> None:
    """Return freed memory to the system where the C library keeps it: glibc does, in pieces that add up."""
    trim = _trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Any:
    """`malloc_trim` of glibc; None on other systems."""
    if sys.platform != "linux":
        return None
    with suppress(OSError, AttributeError):
        return ctypes.CDLL("libc.so.6").malloc_trim
    return None
