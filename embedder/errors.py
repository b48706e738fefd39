"""The errors of midikin under their public name; `embedder.core.errors` draws the tree."""

from .core.errors import *  # noqa: F403
from .core.errors import __all__ as __all__
