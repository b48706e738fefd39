"""midikin in Python: the names of its packages that programs use, under one.

    from midikin import Library, read_midi

    with Library.open("my-library") as library:
        library.add(["~/Music/midi"])
        for hit in library.search("theme.mid").results:
            print(hit.rank, hit.path, hit.score)

Each name is loaded when it is first used, so that `import midikin` costs nothing. Here are the public names
of `embedder` (notes, MIDI files, encoders, continuations, errors) and `index` (the library and its records).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import embedder
import index

if TYPE_CHECKING:
    from embedder import *  # noqa: F403
    from index import *  # noqa: F403

__all__: list[str] = []
__all__ += embedder.__all__
__all__ += index.__all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("midikin")
    package = index if name in index.__all__ else embedder
    if name not in package.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(package, name)
    globals()[name] = value  # the next use does not come here again
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
