"""Settings of recipes, checked against the types that they are declared with before anything uses them."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from inspect import signature
from typing import Any, Union, get_args, get_origin, get_type_hints

from embedder.core.errors import CorpusError

__all__ = ["check_settings", "declared"]

MOST = 2**31 - 1  # of a whole number; a seed, a count or a size beyond is a mistake
_SHOWN = 60


def declared(kind: type) -> dict[str, Any]:
    """Types of the parameters that a class takes by name, its base classes' too."""
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            taken = signature(vars(base)["__init__"]).parameters.values()
            known = get_type_hints(vars(base)["__init__"])
            named = (one.name for one in taken if one.kind is not one.VAR_KEYWORD)
            hints |= {name: known[name] for name in named if name in known}
    return hints


def check_settings(what: str, types: Mapping[str, Any], given: Mapping[str, object]) -> None:
    """Refuse settings of another type than declared, and numbers that are negative or not finite.

    Parameters
    ----------
    what : whose settings, for the message
    types : declared types by name; settings that it lacks are left to whoever takes them

    Raises
    ------
    CorpusError
        Naming the first setting that does not fit.
    """
    for name, value in given.items():
        if name in types and not _fits(value, types[name]):
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
            raise CorpusError(f"recipe: {what} {name} must be {_described(types[name])}, not {shown}")


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint is int:
        return not isinstance(value, bool) and isinstance(value, int) and 0 <= value <= MOST
    if hint is float:
        return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < math.inf
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        return (
            isinstance(value, list | tuple)
            and len(value) == len(parts)
            and all(_fits(one, part) for one, part in zip(value, parts, strict=True))
        )
    if get_origin(hint) is dict:
        wanted = get_args(hint)[1]
        return isinstance(value, dict) and (
            wanted is Any or all(_fits(one, wanted) for one in value.values())
        )
    return hint is Any or type(value) is hint


def _described(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_described(one) for one in get_args(hint) if one is not types.NoneType)
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    if get_origin(hint) is dict:
        return "a table"
    names = {int: "a whole number, 0 or more", float: "a number, 0 or more", bool: "true or false"}
    return names.get(hint, "text")
