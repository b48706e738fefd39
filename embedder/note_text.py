"""Typed tunes: a line of text to notes, as letters, solfège, scale degrees, MIDI numbers or ABC.

    E4 E F G G F E D        letters; an octave counts until another is given, otherwise the nearest follows
    mi mi fa sol:2          solfège (movable do = C), a length in beats behind a colon
    3 3 4 5 5 4 3 2         degrees of the major scale, ' and , for octaves
    64 64 65 67             MIDI numbers
    K:G |: GABc d2d2 :|     ABC notation (abcnotation.com, version 2.1): fields, lengths, bars, accidentals

A note without an octave lies within a fourth of the note before it, as in LilyPond's relative mode. A rest is
`r`, `z` or `-`, with a length like a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from .core.errors import NoteTextError
from .notes import Notes

__all__ = ["parse_notes"]

BEAT_S = 0.5  # 120 BPM, where a text says nothing of its tempo
VELOCITY = 80
MAX_NOTES = 10_000
_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_SOLFEGE = {
    "do": 0,
    "ut": 0,
    "re": 2,
    "ré": 2,
    "mi": 4,
    "fa": 5,
    "sol": 7,
    "so": 7,
    "la": 9,
    "ti": 11,
    "si": 11,
}
_DEGREES = (0, 2, 4, 5, 7, 9, 11)
_SHIFT = {"#": 1, "♯": 1, "b": -1, "♭": -1, "x": 2, "n": 0, "♮": 0}
_RESTS = frozenset({"r", "z", "-", "_", "rest", "0"})
_TOKEN = re.compile(r"(?P<name>[^:]+?)(?::(?P<length>[\d./]+))?")
_LETTER = re.compile(r"(?P<step>[a-gA-G])(?P<shift>[#♯b♭xn♮]*)(?P<octave>-?\d)?")
_DEGREE = re.compile(r"(?P<shift>[#♯b♭]*)(?P<step>[1-9])(?P<octave>'*|,*)")
_NAMED = re.compile(r"(?P<step>[a-zé]+?)(?P<shift>[#♯♭]*)(?P<octave>\d)?")


@dataclass(frozen=True)
class _Event:
    """A note, or a rest where `pitch` is None; `beats` is its length."""

    pitch: int | None
    beats: Fraction


def parse_notes(text: str) -> Notes:
    """Notes that a text stands for, from 0 s on, at 120 BPM unless ABC states a tempo.

    Raises
    ------
    NoteTextError
        Naming the first word that is no note, or if there are no notes.
    """
    abc = _looks_like_abc(text)
    events, beat_s = _parse_abc(text) if abc else (list(_parse_words(text)), BEAT_S)
    if len(events) > MAX_NOTES:
        raise NoteTextError(f"{len(events):,} typed notes are more than the limit of {MAX_NOTES:,}")
    onset: list[float] = []
    duration: list[float] = []
    pitch: list[int] = []
    at = Fraction(0)
    for event in events:
        if event.pitch is not None:
            if not 0 <= event.pitch <= 127:
                raise NoteTextError("a typed note leaves the MIDI range of 0 to 127; check the octaves")
            onset.append(float(at) * beat_s)
            duration.append(float(event.beats) * beat_s)
            pitch.append(event.pitch)
        at += event.beats
    if not pitch:
        raise NoteTextError("no notes in the text; write some like 'E4 E F G G F E D'")
    return Notes(onset, duration, pitch, [VELOCITY] * len(pitch))


# -- words ----------------------------------------------------------------------------------------


def _parse_words(text: str) -> Iterator[_Event]:
    words = [word for word in re.split(r"[\s;|]+", text.strip()) if word]
    if all(word.endswith(",") for word in words[:-1]):  # a list; otherwise a comma is an octave
        words = [word.rstrip(",") for word in words if word.rstrip(",")]
    matches = []
    for word in words:
        match = _TOKEN.fullmatch(word)
        if match is None:
            raise NoteTextError(
                f"{word!r} is no note; write notes like 'E4 E F#:2 G', 'mi fa sol' or '3 4 5'"
            )
        matches.append((word, match["name"], _length(match["length"], word)))
    reader = _reader_for([name for _, name, _ in matches])
    previous: int | None = None
    for word, name, beats in matches:
        if name.lower() in _RESTS:
            yield _Event(None, beats)
            continue
        pitch = reader(name, previous)
        if pitch is None:
            raise NoteTextError(
                f"{word!r} is no note; write notes like 'E4 E F#:2 G', 'mi fa sol' or '3 4 5'"
            )
        yield _Event(pitch, beats)
        previous = pitch


def _length(text: str | None, word: str) -> Fraction:
    if text is None:
        return Fraction(1)
    try:
        beats = Fraction(text)
    except (ValueError, ZeroDivisionError):
        beats = Fraction(0)
    if not 0 < beats <= 1000:
        raise NoteTextError(f"the length in {word!r} is no number of beats; write one like 'E4:1/2'")
    return beats


def _reader_for(names: list[str]) -> Callable[[str, int | None], int | None]:
    """What the words are, told from all of them: numbers are degrees only if all are small."""
    sounding = [name.lower() for name in names if name.lower() not in _RESTS]
    if sounding and all(re.fullmatch(r"\d{1,3}", name) for name in sounding):
        if max(map(int, sounding)) > 9:
            return lambda name, previous: int(name)
        return _degree
    if any(name[0].isdigit() for name in sounding) and all(_DEGREE.fullmatch(name) for name in sounding):
        return _degree
    if any(_solfege_step(name) is not None for name in sounding):
        return _solfege
    return _letter


def _near(pitch_class: int, previous: int | None) -> int:
    """The pitch of this class nearest to `previous`; the one from middle C upwards at the beginning."""
    if previous is None:
        return 60 + pitch_class
    return previous + (pitch_class - previous + 6) % 12 - 6


def _shift(signs: str) -> int:
    return sum(_SHIFT[sign] for sign in signs)


def _letter(name: str, previous: int | None) -> int | None:
    match = _LETTER.fullmatch(name)
    if match is None:
        return None
    step = _STEPS[match["step"].lower()] + _shift(match["shift"])
    if match["octave"] is not None:
        return 12 * (int(match["octave"]) + 1) + step
    return _near(step % 12, previous)


def _solfege_step(name: str) -> re.Match[str] | None:
    match = _NAMED.fullmatch(name.lower())
    return match if match is not None and match["step"] in _SOLFEGE else None


def _solfege(name: str, previous: int | None) -> int | None:
    match = _solfege_step(name)
    if match is None:
        return None
    step = _SOLFEGE[match["step"]] + _shift(match["shift"])
    if match["octave"] is not None:
        return 12 * (int(match["octave"]) + 1) + step
    return _near(step % 12, previous)


def _degree(name: str, previous: int | None) -> int | None:
    """A degree of the major scale on C; 8 and 9 are 1 and 2 above. No nearest octave: 5 is above 1."""
    match = _DEGREE.fullmatch(name)
    if match is None:
        return None
    octave, step = divmod(int(match["step"]) - 1, 7)
    marks = match["octave"]
    return 60 + 12 * (octave + marks.count("'") - marks.count(",")) + _DEGREES[step] + _shift(match["shift"])


# -- ABC ------------------------------------------------------------------------------------------

_FIELD = re.compile(r"(?:^|\[|(?<=\s))([A-Za-z]):\s*([^\]\n|]*?)(?=\]|\n|$|\s+[A-Za-z]:|\s+\|)")
_ABC_NOTE = re.compile(
    r"(?P<shift>[\^_=]*)(?P<step>[A-Ga-gzx])(?P<octave>[',]*)(?P<length>\d*/*\d*)(?P<dot>[<>]*)"
)
_ABC_RUN = r"[\^_=]*[A-Ga-g][',]*\d*/*\d*"
_SHARPS = {
    name: count
    for count, names in zip(
        range(-7, 8),
        ["cb", "gb", "db", "ab", "eb", "bb", "f", "c", "g", "d", "a", "e", "b", "f#", "c#"],
        strict=True,
    )
    for name in names.split()
}
_MODES = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
    "lyd": 1,
}
_SHARP_ORDER, _FLAT_ORDER = "fcgdaeb", "beadgcf"


def _looks_like_abc(text: str) -> bool:
    """ABC states fields, or writes notes together that are no word of another notation."""
    if re.search(r"(^|\n|\[|\s)[KLMQX]:\s*\S", text):
        return True
    return any(
        re.fullmatch(rf"[|:(\[]*(?:{_ABC_RUN}){{2,}}[|:)\]]*", word)
        and _solfege_step(word) is None
        and _LETTER.fullmatch(word) is None
        for word in text.split()
    )


def _parse_abc(text: str) -> tuple[list[_Event], float]:
    fields = {name: value.strip() for name, value in _FIELD.findall(text)}
    key = _key_signature(fields.get("K", "C"))
    unit = _unit_length(fields)
    beat_s = _beat_s(fields.get("Q", ""))
    body = _FIELD.sub(" ", text)
    body = re.sub(r'%.*|"[^"]*"|![^!]*!|\{[^}]*\}', " ", body)  # comments, chords, decorations, grace notes
    events: list[_Event] = []
    accidentals: dict[str, int] = {}
    tuplet, left = Fraction(1), 0
    scale = Fraction(1)
    at = 0
    while at < len(body):
        char = body[at]
        number = re.match(r"\((\d)", body[at:])
        match = _ABC_NOTE.match(body, at)
        if number is not None:
            count = int(number[1])
            tuplet = Fraction({2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(count, 2), max(count, 1))
            left = count
            at += number.end()
        elif match is not None:
            beats = _abc_length(match["length"]) * unit * 4 * scale
            scale = Fraction(1)
            if left:
                beats, left = beats * tuplet, left - 1
            if match["dot"]:
                longer = Fraction(2 ** (len(match["dot"]) + 1) - 1, 2 ** len(match["dot"]))
                first, second = (longer, 2 - longer) if match["dot"][0] == ">" else (2 - longer, longer)
                beats, scale = beats * first, second
            events.append(_Event(_abc_pitch(match, key, accidentals), beats))
            at = match.end()
        elif char == "|":
            accidentals.clear()
            at += 1
        elif char in " \t\r\n:-()[]~.`\\1234567890&*+'/<>$yuvTHLMSPOR" or char == "]":
            at += 1
        else:
            raise NoteTextError(f"{body[at : at + 8].strip()!r} cannot be read as ABC notation")
    return events, beat_s


def _abc_pitch(match: re.Match[str], key: dict[str, int], accidentals: dict[str, int]) -> int | None:
    step = match["step"]
    if step in "zx":
        return None
    marks = match["octave"]
    octave = (5 if step.islower() else 4) + marks.count("'") - marks.count(",")
    name = f"{step.lower()}{octave}"
    if match["shift"]:
        accidentals[name] = match["shift"].count("^") - match["shift"].count("_")
    shift = accidentals.get(name, key.get(step.lower(), 0))
    return 12 * (octave + 1) + _STEPS[step.lower()] + shift


def _abc_length(text: str) -> Fraction:
    """A length in units: "2", "/", "//", "3/2"."""
    whole, slashes, below = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    under = int(below) if below else 2 ** len(slashes)
    return Fraction(int(whole) if whole else 1, max(under, 1))


def _key_signature(text: str) -> dict[str, int]:
    """Shift of each step under a key like "G", "Bb", "Am", "D dorian"."""
    match = re.match(r"([A-Ga-g])([#b]?)\s*([A-Za-z]*)", text.strip())
    if match is None:
        return {}
    tonic = (match[1] + match[2]).lower()
    mode = match[3].lower()[:3]
    mode = "m" if mode and mode not in _MODES and mode.startswith("m") else mode
    fifths = _SHARPS.get(tonic, 0) + _MODES.get(mode, 0)
    order = _SHARP_ORDER if fifths > 0 else _FLAT_ORDER
    return dict.fromkeys(order[: min(abs(fifths), 7)], 1 if fifths > 0 else -1)


def _unit_length(fields: dict[str, str]) -> Fraction:
    """Length of a note without a number, in whole notes; by the standard an eighth or a sixteenth."""
    if re.fullmatch(r"\d+/\d+", fields.get("L", "")):
        return Fraction(fields["L"])
    meter = fields.get("M", "4/4")
    if re.fullmatch(r"\d+/\d+", meter) and Fraction(meter) < Fraction(3, 4):
        return Fraction(1, 16)
    return Fraction(1, 8)


def _beat_s(text: str) -> float:
    match = re.search(r"(?:(\d+/\d+)\s*=\s*)?(\d+)", text)
    if match is None or not int(match[2]):
        return BEAT_S
    beat = Fraction(match[1]) if match[1] else Fraction(1, 4)
    return 60 / int(match[2]) / float(beat * 4)
