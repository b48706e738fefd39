"""Fetching Aria's released weights from the Hugging Face hub, once; then they lie in its cache."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import EncoderError

__all__ = ["OWNER", "fetch"]

OWNER = "loubb/aria-"  # what the names of the released models begin with
FILE = "model.safetensors"
LARGE_BYTES = 100_000_000


def fetch(name: str, notice: Callable[[str], None] | None = None) -> Path:
    """Path of a released model's weights, downloaded if they are not here yet.

    A download that was broken off goes on where it stopped.

    Parameters
    ----------
    name : of a repository on the hub, like "loubb/aria-medium-embedding"
    notice : is told size and licence before a large download; prints to stderr if None

    Raises
    ------
    EncoderError
        If there is no network, no such model, or no room.
    """
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, FILE, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        pass  # not here yet; a bad name is refused below
    try:
        size, licence = _facts(name)
        if size > LARGE_BYTES:
            (notice or _print)(
                f"downloading {name}: {size / 1e9:.1f} GB, licence {licence}; if stopped, it goes on later"
            )
        return Path(hf_hub_download(name, FILE))
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        reason = "there is no such model" if status in (401, 404) else f"the hub answers {status}"
        raise EncoderError(f"{name} cannot be downloaded: {reason}") from None
    except HFValidationError:
        raise EncoderError(f"{name} is no name of a model on the hub") from None
    except (OSError, httpx.HTTPError, LocalEntryNotFoundError) as error:
        if getattr(error, "errno", None) is not None and not isinstance(error, ConnectionError):
            raise EncoderError(f"{name} cannot be stored: {error}") from None
        raise EncoderError(
            f"{name} is not on this disk and the hub cannot be reached: "
            f"go online, or give the path of a copy of its {FILE}"
        ) from None


def _facts(name: str) -> tuple[int, str]:
    """Size in bytes and licence, as the hub states them."""
    from huggingface_hub import model_info

    info: Any = model_info(name, files_metadata=True, timeout=20)
    sizes = [file.size or 0 for file in info.siblings or () if file.rfilename == FILE]
    if not sizes:
        raise EncoderError(f"{name} holds no {FILE}")
    licence = (info.card_data or {}).get("license") or "not stated"
    return sizes[0], licence


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
