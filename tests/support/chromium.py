"""The Chromium of this machine, for tests and benchmarks of the pages."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

__all__ = ["FLAGS", "MISSING", "chromium_of", "find_chromium"]

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "chrome-headless-shell",
)
# It is to speak with the app alone; as root it needs to go without its sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
MISSING = "no Chromium on this machine: apt-get install chromium, or playwright install chromium"


def chromium_of(driver: Any) -> str | None:
    """Its path: the one that Playwright has installed, or one of the machine; None if there is none."""
    own = Path(driver.chromium.executable_path)
    return str(own) if own.exists() else next(filter(None, map(shutil.which, _NAMES)), None)


def find_chromium(driver: Any) -> str:
    """Its path; without one the program ends and says why."""
    return chromium_of(driver) or sys.exit(MISSING)
