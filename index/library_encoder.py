"""The encoder of a library: loaded when needed, and checked against the one that the library remembers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from embedder.core.errors import EncoderError, EncoderMismatch

from .storage import absolute, display

if TYPE_CHECKING:
    from embedder.embedded import Embedded
    from embedder.notes import Notes

__all__ = ["DEFAULT_ENCODER", "EncoderLike", "LibraryEncoder", "front_of"]

DEFAULT_ENCODER = "midikin-small"


class EncoderLike(Protocol):
    """What the library asks of an encoder; `embedder.Encoder` is one.

    An encoder may have a `front` (see `embedder.Encoder`). What that makes of a file then comes in the place
    of the file's notes, so that the encoder hears all of the file; notes still come where there is no file.
    """

    @property
    def id(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, pieces: Sequence[Notes]) -> Embedded: ...


def front_of(encoder: EncoderLike) -> str | None:
    """What an encoder wants of a file beside its notes, None if those are enough."""
    front: str | None = getattr(encoder, "front", None)
    return front


class LibraryEncoder:
    """An encoder given as a value, by name, or not at all (then the one the library was made with).

    Attributes
    ----------
    source : name or path that loads it again, or None for an encoder given as a value
    """

    def __init__(self, given: EncoderLike | str | None, folder: Path) -> None:
        self._folder = folder
        self.replace(given)

    def replace(self, given: EncoderLike | str | None) -> None:
        """Be another encoder from now on; as when it is made."""
        self._loaded = None if given is None or isinstance(given, str) else given
        self._free = given is None
        self.source: str | None = given if isinstance(given, str) else None
        # What is stored must hold in another working folder too.
        self._as_path = absolute(self.source) if self.source and os.path.exists(self.source) else None

    def get(self, remembered: str | None, source: str | None) -> EncoderLike:
        """The encoder.

        Parameters
        ----------
        remembered : id of the encoder that made the library's vectors, or None if it has none yet
        source : name or path by which that one was loaded

        Raises
        ------
        EncoderMismatch
            If it is another than the one remembered.
        """
        self._forget_replaced(remembered)
        if self._loaded is None:
            from embedder.checkpoint import shipped_encoders
            from embedder.encoder import Encoder

            if self._as_path is not None and self.source not in shipped_encoders():
                self.source = self._as_path
            self.source = self.source or source or DEFAULT_ENCODER
            self._loaded = Encoder.load(self.source)
        # Not `check`, which would let go of what has just been loaded: then there would be none to give.
        self._refuse_other(remembered)
        return self._loaded

    def front(self, remembered: str | None, source: str | None) -> str | None:
        """The front of the encoder; parameters and errors as for `get`.

        The encoder that comes by default has none, and is not loaded to learn it.
        """
        if self._loaded is None and (self.source or source or DEFAULT_ENCODER) == DEFAULT_ENCODER:
            return None
        return front_of(self.get(remembered, source))

    def check(self, remembered: str | None) -> None:
        """Refuse an encoder that is at hand and not the remembered one."""
        self._forget_replaced(remembered)
        self._refuse_other(remembered)

    def _refuse_other(self, remembered: str | None) -> None:
        if self._loaded is not None and remembered is not None and self._loaded.id != remembered:
            raise EncoderMismatch(
                f"{display(str(self._folder))}: its vectors were made by {remembered}, "
                f"not by {self._loaded.id}; use that encoder, or `midikin reembed` makes them anew"
            )

    def _forget_replaced(self, remembered: str | None) -> None:
        """Let go of the library's own encoder if the library has been embedded anew meanwhile."""
        if self._free and self._loaded is not None and remembered not in (None, self._loaded.id):
            self._loaded = self.source = None

    def embed(self, encoder: EncoderLike, pieces: Sequence[Any]) -> Embedded:
        """Embed pieces and check what came back.

        Parameters
        ----------
        pieces : notes, or what the front of the encoder made of files

        Raises
        ------
        EncoderError
            If shapes do not fit together or a vector is not finite.
        """
        embedded = encoder.embed(pieces)
        fits = embedded.pieces.shape == (len(pieces), encoder.dim)
        fits &= embedded.windows.shape == (len(embedded.piece_of_window), encoder.dim)
        if not fits or not (np.isfinite(embedded.pieces).all() and np.isfinite(embedded.windows).all()):
            raise EncoderError(
                f"the encoder {encoder.id} gave vectors that cannot be used; try another encoder"
            )
        return embedded
