"""Files and folders that nobody should meet, and every music collection holds.

`hostile_files` gives them as bytes, by name; `hostile_folder` lays out folders that trip up their walkers.
Both are made from nothing and the same every time.
"""

from __future__ import annotations

import io
import os
import random
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

import mido
import numpy as np

__all__ = ["header", "hostile_files", "hostile_folder", "million_notes", "riff", "track", "tune", "varint"]

END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x40"  # middle C for 96 ticks


def varint(value: int) -> bytes:
    """A number in groups of seven bits, as MIDI files write lengths and gaps."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def header(type_: int = 1, tracks: int = 1, division: int = 96) -> bytes:
    return b"MThd" + struct.pack(">IHHH", 6, type_, tracks, division & 0xFFFF)


def track(events: bytes, length: int | None = None) -> bytes:
    """A track chunk; `length` lies about its size."""
    return b"MTrk" + struct.pack(">I", len(events) if length is None else length) + events


def tune(notes: int = 40, type_: int = 1) -> bytes:
    """A sound file that mido has written: a tempo, a pedal, a scale up and down."""
    midi = mido.MidiFile(type=type_, ticks_per_beat=480)
    line = midi.add_track("a tune for tests")
    line.append(mido.MetaMessage("set_tempo", tempo=600_000))
    line.append(mido.Message("control_change", control=64, value=127))
    for i in range(notes):
        pitch = 60 + abs(i % 24 - 12)
        line.append(mido.Message("note_on", note=pitch, velocity=50 + i % 40, time=20))
        line.append(mido.Message("note_off", note=pitch, velocity=64, time=200))
    line.append(mido.Message("control_change", control=64, value=0, time=10))
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def million_notes(count: int = 1_000_000) -> bytes:
    """A sound file of as many notes, in running status."""
    pitch = (np.arange(count) % 88 + 21).astype(np.uint8)
    events = np.zeros((count, 6), np.uint8)
    events[:, 1] = events[:, 4] = pitch
    events[:, 2] = 64
    events[:, 3] = 1
    return header() + track(b"\x00\x90\x3c\x00" + events.tobytes() + END)


def _truncated(sound: bytes) -> Iterable[tuple[str, bytes]]:
    for at in (1, 4, 8, 13, 14, 18, 22, 23, 40, len(sound) // 2, len(sound) - 5, len(sound) - 1):
        yield f"cut after {at} bytes", sound[:at]


def _not_midi() -> Iterable[tuple[str, bytes]]:
    rng = random.Random(1)
    yield "empty", b""
    yield "one byte", b"M"
    yield "text", b"this is not music\n" * 100
    yield "noise", rng.randbytes(10_000)
    yield "zeros", bytes(100_000)
    yield "ones", b"\xff" * 100_000
    yield "zip", b"PK\x03\x04" + rng.randbytes(500)
    yield "wave audio", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)
    yield "html", b"<!DOCTYPE html><title>404</title>"
    yield "magic word twice", b"MThdMThd" + header() + track(NOTE + END)
    yield "header only", header()
    yield "header of ones", b"MThd" + b"\xff" * 10
    yield "noise behind a header", header() + rng.randbytes(5_000)
    yield "noise in a track", header() + track(rng.randbytes(5_000))
    yield "macintosh line ends", tune().replace(b"\r", b"\n")
    yield "seven bits only", bytes(b & 0x7F for b in tune())


def _lying_lengths() -> Iterable[tuple[str, bytes]]:
    body = NOTE * 20 + END
    yield "header length 0", b"MThd\0\0\0\0" + header()[8:] + track(body)
    yield "header length 5", b"MThd\0\0\0\5" + header()[8:] + track(body)
    yield "header length 8", b"MThd\0\0\0\x08" + header()[8:] + b"\0\0" + track(body)
    yield "header length huge", b"MThd\xff\xff\xff\xff" + header()[8:] + track(body)
    yield "track length 0", header() + track(body, 0)
    yield "track one byte short", header() + track(body, len(body) - 1)
    yield "track one byte long", header() + track(body, len(body) + 1)
    yield "track length huge", header() + track(body, 0xFFFFFFFF)
    yield "track length negative", header() + track(body, 0x80000000)
    yield "text longer than the file", header() + track(b"\x00\xff\x01" + varint(10**8) + b"hello" + END)
    yield "exclusive longer than the file", header() + track(b"\x00\xf0" + varint(10**8) + b"\x01" + END)
    yield "text of four gigabytes", header() + track(b"\x00\xff\x01\x8f\xff\xff\xff\x7f" + END)
    yield "tempo of no bytes", header() + track(b"\x00\xff\x51\x00" + body)
    yield "tempo of nine bytes", header() + track(b"\x00\xff\x51\x09" + b"\x07" * 9 + body)
    yield "signature of no bytes", header() + track(b"\x00\xff\x58\x00\x00\xff\x59\x00" + body)
    yield "port of no bytes", header() + track(b"\x00\xff\x21\x00\x00\xff\x20\x00\x00\xff\x54\x00" + body)
    yield (
        "absurd signatures",
        header() + track(b"\x00\xff\x58\x04\xff\xff\xff\xff\x00\xff\x59\x02\x7f\x7f" + body),
    )


def _odd_structure() -> Iterable[tuple[str, bytes]]:
    body = NOTE * 20 + END
    yield "zero tracks", header(tracks=0)
    yield "zero tracks stated, one there", header(tracks=0) + track(body)
    yield "more tracks stated than there", header(tracks=50) + track(body)
    yield "65535 tracks stated", header(tracks=65_535) + track(body)
    yield "5000 empty tracks", header(tracks=5_000) + track(END) * 5_000
    yield "5000 tracks", header(tracks=5_000) + track(body) * 5_000
    yield "type 0 with two tracks", header(0, 2) + track(body) * 2
    yield "type 2", header(2, 3) + track(body) * 3
    yield "type 3", header(3) + track(body)
    yield "type 65535", header(65_535) + track(body)
    yield "unknown chunk first", header() + b"XFIH\0\0\0\4abcd" + track(body)
    yield "junk behind the end", header() + track(body) + b"junk" * 100
    yield "no end of track", header() + track(NOTE * 20)
    yield "events after the end", header() + track(NOTE + END + NOTE * 20)
    yield "two files in one", tune() + tune()
    yield "rmid without data", b"RIFF\x04\0\0\0RMID"
    yield "rmid with an empty chunk", b"RIFF\x0c\0\0\0RMIDdata\0\0\0\0"
    yield "rmid of lying length", b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\xff" + tune()
    yield "rmid in rmid", riff(riff(tune()))
    yield "macbinary", bytes(128) + tune()


def riff(data: bytes) -> bytes:
    """The wrapper of RMID files."""
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"RMIDdata" + struct.pack("<I", len(data)) + data


def _odd_time() -> Iterable[tuple[str, bytes]]:
    body = NOTE * 20 + END

    def tempo(us: int) -> bytes:
        return b"\x00\xff\x51\x03" + us.to_bytes(3, "big")

    yield "division 0", header(division=0) + track(body)
    yield "division 1", header(division=1) + track(body)
    yield "division 32767", header(division=32_767) + track(body)
    yield "smpte 25 by 40", header(division=-25 << 8 | 40) + track(body)
    yield "smpte 29 by 4", header(division=-29 << 8 | 4) + track(body)
    yield "smpte without ticks", header(division=-25 << 8) + track(body)
    yield "smpte 128 by 255", header(division=0x80FF) + track(body)
    yield "tempo 0", header() + track(tempo(0) + body)
    yield "tempo 1", header() + track(tempo(1) + body)
    yield "slowest tempo", header(division=1) + track(tempo(0xFFFFFF) + body)
    yield "thousands of tempos at one tick", header() + track(b"".join(map(tempo, range(5_000))) + body)
    hour = varint(2 * 96 * 3_600)
    yield "an hour of silence", header() + track(NOTE + hour + NOTE[1:] + END)
    yield "a hundred hours of silence", header() + track((hour + NOTE[1:]) * 100 + END)
    longest = varint(2**28 - 1)
    yield "longest gap", header(division=32_767) + track(longest + NOTE[1:] + END)
    yield "gaps beyond 31 bits", header(division=32_767) + track((longest + NOTE[1:]) * 12 + END)
    yield "gaps beyond 32 bits", header(division=32_767) + track((longest + NOTE[1:]) * 40 + END)
    yield "gap of five bytes", header() + track(b"\xff\xff\xff\xff\x7f" + NOTE[1:] + END)
    yield "endless gap", header() + track(b"\x81" * 200_000 + NOTE[1:] + END)
    yield "gap without end", header() + track(b"\xff" * 200_000)


def _odd_notes() -> Iterable[tuple[str, bytes]]:
    yield "no notes", header() + track(END)
    yield "only drums", header() + track(b"\x00\x99\x24\x40\x60\x89\x24\x40" + END)
    yield "never closed", header() + track(b"\x00\x90\x3c\x40" + END)
    yield "only note-offs", header() + track(b"\x00\x80\x3c\x40" * 50 + END)
    yield "no length", header() + track(b"\x00\x90\x3c\x40\x00\x80\x3c\x40" * 50 + END)
    yield (
        "same note a thousand times at once",
        header() + track(b"\x00\x90\x3c\x40" * 1_000 + b"\x01\x80\x3c\x40" * 1_000 + END),
    )
    yield "running status from nowhere", header() + track(b"\x00\x3c\x40" + END)
    yield (
        "running status after text",
        header() + track(b"\x00\x90\x3c\x40\x10\xff\x01\x02hi\x10\x3c\x00" + END),
    )
    yield (
        "running status after exclusive",
        header() + track(b"\x00\x90\x3c\x40\x10\xf0\x02\x01\xf7\x10\x3c\x00" + END),
    )
    yield "pitch 200", header() + track(b"\x00\x90\xc8\x40\x60\x80\xc8\x40" + NOTE + END)
    yield "velocity 200", header() + track(b"\x00\x90\x3c\xc8\x60\x80\x3c\x40" + NOTE + END)
    yield "undefined status", header() + track(b"\x00\xf4\x00\xf5\x00\xf9\x00\xfd" + NOTE + END)
    yield "status at the very end", header() + track(NOTE + b"\x00\x90")
    yield "realtime among notes", header() + track(b"\x00\xf8\x00\xfa\x00\xfe" + NOTE + END)
    yield "title that is not text", header() + track(b"\x00\xff\x03\x06\xff\xfe\x80\x00\x1b[" + NOTE + END)
    yield (
        "title of a megabyte",
        header() + track(b"\x00\xff\x03" + varint(2**20) + b"\xe3\x81\x82z" * 2**18 + NOTE + END),
    )
    yield "pedal never lifted", header() + track(b"\x00\xb0\x40\x7f" + NOTE * 20 + END)
    yield "a million notes", million_notes()
    yield "three million notes", million_notes(3_000_000)
    yield "a million notes and no end", million_notes()[:-4] + b"\x00\x3c"


def _flipped(sound: bytes) -> Iterable[tuple[str, bytes]]:
    for seed in range(12):
        rng = random.Random(seed)
        data = bytearray(sound)
        for _ in range(1 << seed % 6):
            data[rng.randrange(14, len(data))] = rng.randrange(256)
        yield f"bytes flipped, {seed}", bytes(data)


def hostile_files() -> dict[str, bytes]:
    """More than a hundred files by name, each to end in a reason or in notes, quickly."""
    sound = tune()
    kinds = [
        _truncated(sound),
        _not_midi(),
        _lying_lengths(),
        _odd_structure(),
        _odd_time(),
        _odd_notes(),
        _flipped(sound),
    ]
    files = {name: data for kind in kinds for name, data in kind}
    assert len(files) >= 100
    return files


def hostile_folder(root: str | os.PathLike[str]) -> dict[str, bool]:
    """Lay out a folder that is hard to walk.

    Returns
    -------
    Whether it can be read as music, by the path of every regular file that looks like MIDI, links not
    followed. As the superuser, who may read everything, "not readable.mid" can be read.
    """
    top = Path(root)
    top.mkdir(parents=True, exist_ok=True)
    sound = tune()
    good: dict[bytes, bytes] = {
        b"plain.mid": sound,
        b"UPPER.MID": tune(30),
        b"long.midi": tune(50),
        b"line\nbreak.mid": tune(31),
        b"tab\tand\x07bell.mid": tune(32),
        b"not utf-8 \xff\xe9.mid": tune(33),
        b"\xe6\x9b\xb2 \xf0\x9f\x8e\xb5.mid": tune(34),
        b" spaces .mid": tune(35),
        b"-rf.mid": tune(36),
        b"%s {} [red] 'quotes' \"double\" $HOME;.mid": tune(37),
        b"x" * 250 + b".mid": tune(38),
        b".hidden.mid": tune(39),
        b"deep/er/and/deeper/still/below.mid": tune(41),
        b"not utf-8 \xff folder/inside.mid": tune(42),
        b"not readable.mid": tune(43),
    }
    bad: dict[bytes, bytes] = {b"empty.mid": b"", b"text.mid": b"no music", b"cut.mid": sound[:60]}
    at = os.fsencode(top)
    for name, data in (good | bad).items():
        path = os.path.join(at, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    _add_traps(top)
    os.chmod(top / "not readable.mid", 0)
    may_read = os.access(top / "not readable.mid", os.R_OK)
    answers = {os.fsdecode(os.path.join(at, name)): name in good for name in good | bad}
    answers[str(top / "not readable.mid")] = may_read
    return answers


def _add_traps(top: Path) -> None:
    """Links in circles and into nothing, and things named like music that are no files."""
    (top / "notes.txt").write_text("not music, and not named like it")
    (top / "folder.mid").mkdir(exist_ok=True)
    links = {
        "loop": ".",
        "deep/er/up": "../..",
        "itself.mid": "itself.mid",
        "nowhere.mid": "gone.mid",
        "ping": "pong",
        "pong": "ping",
    }
    for name, target in links.items():
        (top / name).symlink_to(target)
    (top / "link.mid").symlink_to("plain.mid")
    os.mkfifo(top / "pipe.mid")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(top)  # the name of a socket must be short
        try:
            listener.bind("socket.mid")
        finally:
            os.chdir(here)
