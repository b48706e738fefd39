"""Fetching Aria's released weights from the Hugging Face hub, once; then they lie on this disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import EncoderError

__all__ = ["OWNER", "fetch"]

OWNER = "loubb/aria-"  # what the names of the released models begin with
FILE = "model.safetensors"
LARGE_BYTES = 100_000_000
ANSWER_S = 20.0  # for the hub to say what it has


def fetch(name: str, notice: Callable[[str], None] | None = None) -> Path:
    """Path of a released model's weights, downloaded if they are not here yet.

    What the hub's own client has in its cache is used. What midikin downloads lies beside that cache, in
    the folder `midikin` of `HF_HOME`. A download that was broken off goes on where it stopped.

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
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, FILE, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise EncoderError(f"{name} is no name of a model on the hub") from None
    target = Path(constants.HF_HOME) / "midikin" / name.replace("/", "--") / FILE
    if target.is_file():
        return target
    try:
        size, licence = _facts(name)
        if size > LARGE_BYTES:
            (notice or _print)(
                f"downloading {name}: {size / 1e9:.1f} GB, licence {licence}; if stopped, it goes on later"
            )
        _download(name, target)
    except (HfHubHTTPError, httpx.HTTPStatusError) as error:
        status = getattr(error.response, "status_code", None)
        reason = "there is no such model" if status in (401, 404) else f"the hub answers {status}"
        raise EncoderError(f"{name} cannot be downloaded: {reason}") from None
    except (OSError, httpx.HTTPError, LocalEntryNotFoundError) as error:
        if getattr(error, "errno", None) is not None and not isinstance(error, ConnectionError):
            raise EncoderError(f"{name} cannot be stored: {error}") from None
        raise EncoderError(
            f"{name} is not on this disk and the hub cannot be reached: "
            f"go online, or give the path of a copy of its {FILE}"
        ) from None
    return target


def _facts(name: str) -> tuple[int, str]:
    """Size in bytes and licence, as the hub states them."""
    from huggingface_hub import model_info

    info: Any = model_info(name, files_metadata=True, timeout=ANSWER_S)
    sizes = [file.size or 0 for file in info.siblings or () if file.rfilename == FILE]
    if not sizes:
        raise EncoderError(f"{name} holds no {FILE}")
    licence = (info.card_data or {}).get("license") or "not stated"
    return sizes[0], licence


def _download(name: str, target: Path) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, tqdm  # type: ignore[attr-defined]

    from .download import download

    url = hf_hub_url(name, FILE)
    facts = get_hf_file_metadata(url, timeout=ANSWER_S)
    if not facts.size or not facts.etag:
        raise EncoderError(f"{name} cannot be downloaded: the hub does not say how large its {FILE} is")
    # Where standard error is no terminal, there is no bar.
    how = {"unit": "B", "unit_scale": True, "desc": FILE, "disable": None}
    with tqdm(total=facts.size, **how) as bar:  # type: ignore[no-untyped-call]
        download(
            url,
            target,
            size=facts.size,
            etag=facts.etag,
            headers=build_hf_headers(),
            on_bytes=lambda have: bar.update(have - bar.n),
        )


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
