"""Wording of numbers in messages."""

from __future__ import annotations

__all__ = ["count", "percent", "tempo_change"]


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
