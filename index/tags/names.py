"""Names of tags and values: any characters, but one that can be stored, and never an empty one."""

from __future__ import annotations

import unicodedata

from embedder.core.errors import TagError

from ..storage import display

__all__ = ["LONGEST_NAME", "checked_name", "shown"]

LONGEST_NAME = 500  # characters
_SHOWN = 60


def checked_name(text: object, what: str = "tag") -> str:
    """A name as it is stored: composed (NFC), without white space around it.

    Parameters
    ----------
    what : "tag" or "value", for the message

    Raises
    ------
    TagError
        If it is empty, too long, or holds what no text can (a byte that is not UTF-8).
    TypeError
        If it is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"the name of a {what} must be text, not {text!r}")
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise TagError(f"an empty name stands for no {what}; give it a name")
    if len(name) > LONGEST_NAME:
        raise TagError(
            f"the name of a {what} of {len(name):,} characters is too long; {LONGEST_NAME} are the most"
        )
    if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in name):
        raise TagError(
            f"{shown(name)}: the name of a {what} holds a character that is none; write it in UTF-8"
        )
    return name


def shown(name: str) -> str:
    """A name in a message: one printable line, shortened where it is long."""
    text = display(name)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
