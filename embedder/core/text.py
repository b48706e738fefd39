"""Numbers and times as text."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["UNKNOWN_TIME", "count", "iso_utc", "percent", "tempo_change"]

UNKNOWN_TIME = ""


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun in the form that agrees: 1 piece, 2,000 pieces."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def percent(share: float) -> str:
    """A share of 0..1 in whole percent: 49 %."""
    return f"{100 * share:.0f} %"


def tempo_change(ratio: float) -> str | None:
    """A ratio of tempi in words: 6 % slower, 25 % faster; None if it is below half a percent."""
    change = round(100 * (ratio - 1))
    if not change:
        return None
    return f"{abs(change):,} % {'faster' if change > 0 else 'slower'}"


def iso_utc(seconds: float, timespec: str = "seconds") -> str:
    """Seconds since 1970 as ISO 8601 in UTC, such as 2026-01-31T12:00:00+00:00.

    A wrong clock or a damaged file system gives times far from any calendar, and what was stored once stays:
    such times, and nan, give UNKNOWN_TIME instead of an error.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec)
    except (OverflowError, OSError, ValueError):
        return UNKNOWN_TIME
