"""What is said when the database holds what cannot be, and where decoding turns into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from embedder.core.errors import LibraryDamaged

__all__ = ["damaged", "decoding"]


def damaged(what: str) -> LibraryDamaged:
    """The exception for a database whose pages were read but hold nonsense."""
    return LibraryDamaged(
        f"midikin.db is damaged: {what}; `midikin repair` keeps all that can be read, "
        "or put a backup in its place"
    )


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Around the decoding of rows and blobs: whatever goes wrong inside means that they are damaged."""
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise damaged(f"{what} cannot be read") from error
