"""Where a large model goes: on which devices, and in which precision, by the memory there is."""

from __future__ import annotations

import os

import torch

from ..core.errors import EncoderError

__all__ = ["PRECISIONS", "place"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHARE = 0.6  # of a memory that weights may take; the rest is for what they compute


def place(
    parameters: int, device: str | None = None, precision: str | None = None
) -> tuple[list[torch.device], torch.dtype]:
    """Devices and precision for a model of so many parameters.

    Parameters
    ----------
    device : one torch device, or several with commas between, over which the layers are spread. If None: the
        first GPU, all of them if the model does not fit on it, or the processor where there is none
    precision : "float32" or "bfloat16". If None: bfloat16 on a GPU that has it, and on a processor whose
        memory has no room for float32

    Raises
    ------
    EncoderError
        If there is no such device or precision.
    """
    if precision is not None and precision not in PRECISIONS:
        raise EncoderError(f"no precision {precision!r}; there are {' and '.join(PRECISIONS)}")
    devices = _devices(device)
    if precision is not None:
        dtype = PRECISIONS[precision]
    elif devices[0].type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    else:
        dtype = torch.float32 if parameters * 4 < _memory(devices[0]) * SHARE else torch.bfloat16
    size = parameters * dtype.itemsize
    if device is None and devices[0].type == "cuda" and size < _memory(devices[0]) * SHARE:
        devices = devices[:1]
    return devices, dtype


def _devices(device: str | None) -> list[torch.device]:
    if device is None:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [torch.device("cuda", i) for i in range(count)] or [torch.device("cpu")]
    try:
        devices = [torch.device(one.strip()) for one in device.split(",")]
        for one in devices:
            torch.empty(1, device=one)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        reason = str(error).strip().partition("\n")[0]
        raise EncoderError(f"no device {device}: {reason}") from None
    return devices


def _memory(device: torch.device) -> float:
    """Bytes: free on a GPU, all there is for a processor; no bound where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")
