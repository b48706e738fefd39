"""Times as text, whatever a clock or a file system says."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["UNKNOWN_TIME", "iso_utc"]

UNKNOWN_TIME = ""


def iso_utc(seconds: float, timespec: str = "seconds") -> str:
    """Seconds since 1970 as ISO 8601 in UTC, such as 2026-01-31T12:00:00+00:00.

    Clocks that run wrong and file systems that were damaged give times far from any calendar, and what was
    stored once stays: these, and nan, give UNKNOWN_TIME instead of an error.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec)
    except (OverflowError, OSError, ValueError):
        return UNKNOWN_TIME
