"""Numbers that callers give: whole numbers of any kind, numpy's included, but neither bools nor nan."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from numbers import Integral
from typing import ParamSpec, TypeVar

__all__ = ["LARGEST", "check_part", "is_number", "renamed_keywords", "whole"]

P = ParamSpec("P")
R = TypeVar("R")

LARGEST = 2**63 - 1  # what the database can hold


def is_number(value: object) -> bool:
    """Whether a value stands for a piece by its number and not for a path or notes.

    Raises
    ------
    TypeError
        For a bool, which counts as an integer in Python and is never meant as one here.
    """
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number of a piece; give a whole number")
    return isinstance(value, Integral)


def whole(value: object, name: str, *, least: int | None = None) -> int:
    """A whole number as Python's own, at most LARGEST.

    Raises
    ------
    ValueError
        If it is none, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}")
    return max(-LARGEST, min(int(value), LARGEST))


def check_part(start_s: float | None, end_s: float | None) -> None:
    """Refuse a part of a query that cannot be.

    Raises
    ------
    ValueError
    """
    for value in (start_s, end_s):
        if value is not None and math.isnan(value):
            raise ValueError("the part must begin and end at a number of seconds, not at nan")
    if start_s is not None and end_s is not None and not start_s < end_s:
        raise ValueError(f"the part must begin before it ends, not run from {start_s:g} to {end_s:g} s")


def renamed_keywords(**new_names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a method take keywords by their names in earlier versions, with a DeprecationWarning.

    Parameters
    ----------
    new_names : the present name of each earlier one
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in new_names.keys() & kwargs.keys():
                new = new_names[old]
                warnings.warn(f"the argument {old} is now called {new}", DeprecationWarning, stacklevel=2)
                kwargs.setdefault(new, kwargs.pop(old))
            return method(*args, **kwargs)

        return call

    return decorate
