"""Adds a folder to a library in small, slow batches; tests run it as a process and kill it.

python slow_adder.py LIBRARY MUSIC [SECONDS_A_BATCH]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import index.add
from index import Library
from tests.support.fake_encoder import FakeEncoder


def main(library: str, music: str, pause_s: str = "0") -> None:
    index.add.BATCH_FILES = 3

    def tell(state: object) -> None:
        time.sleep(float(pause_s))

    with Library.open(library, encoder=FakeEncoder()) as opened:
        print("ready", flush=True)
        begun = time.monotonic()
        report = opened.add(music, tell, workers=1)
    print(f"{report.added} {report.interrupted} {time.monotonic() - begun}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
