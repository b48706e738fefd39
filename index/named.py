"""What records with a name share: the name as it may be shown, and all of the record as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .storage.paths import display

__all__ = ["Named"]


class Named:
    """Mixin of a dataclass about a file, or with a `display` of its own.

    Paths and names may hold bytes that no terminal and no JSON takes.
    """

    if TYPE_CHECKING:

        @property
        def path(self) -> str | None: ...

    @property
    def display(self) -> str:
        """The path with all that cannot be printed escaped."""
        return "(notes)" if self.path is None else display(self.path)

    def to_json(self) -> dict[str, Any]:
        """All fields, and `display`."""
        return asdict(self) | {"display": self.display}  # type: ignore[call-overload,no-any-return]
