"""The title of a piece, as far as its file says: no name of an instrument, a program or a track."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .events import Events
from .text import decode_text, one_line
from .track_words import TRACK_WORDS

__all__ = ["composer_of", "is_title", "title_of", "track_names"]

TEXT, COPYRIGHT, TRACK_NAME, INSTRUMENT_NAME, LYRIC = 0x01, 0x02, 0x03, 0x04, 0x05
WORDS_OF_SECOND = 2  # words that make a title of the name of a track that plays
MOST_NAMES = 16  # names of the first track that are looked at
MOST_TEXTS = 400  # texts that are looked at for the titles of karaoke files

# Programs that put their own name where the title stands, and phrases that begin or end no title.
_PHRASES = re.compile(
    r"cakewalk|cubase|noteworthy|musescore|sibelius|voyetra|lilypond|abc2midi|synthesia|musicator|midisoft"
    r"|notator|rosegarden|orchestrator|winjammer|tuxguitar|tabledit|capella|finale\b|garage ?band|pro ?tools"
    r"|ableton|fl studio|fruity ?loops|anvil studio|band.in.a.box|\bbiab\b|master ?tracks|\bencore\b\W*$"
    r"|power ?tracks|reaper\b|quick ?score|logic (pro|audio)|jammer pro|guitar pro|karaoke (file|dream)"
    r"|soft ?karaoke|nameless|refx|mus->mid|^\d+ bars$|^[A-Z_~]*[\d~][A-Z\d_~]*$|^\S*[:;,^$]\S+$"
    r"|midi ?(karaoke|magic|connection)|midi (file|by|out|in)\b|\bdemo\b|template|parameters"
    r"|unnamed|untitled|unbenannt|no ?name|sans ?titre|senza ?titolo|sin ?t[ií]tulo|ohne ?titel"
    r"|(my|new|song|first) ?(song|project|sequence|file|title)\W*$|<\w+"
    r"|(copy ?right|\(c\)|©|\(p\))|all rights|sequenced|\bseq'?d\b|arranged by|\barr\. by"
    r"|(created|made|recorded|transcribed|performed|played|edited|produced|published) (by|with|using|on)\b"
    r"|generated|converted|engraved by"
    r"|https?:|www\.|ftp:|\.(com|net|org|edu|htm|html|de|uk)\b|[\w.]+@[\w.]+|e-?mail"
    r"|^(composed|written|words|music|lyrics|text|melody|melodie|musik|by)\b.{0,12}\bby\b|^by\b"
    r"|^from\b.*\b(album|cd)\b|^bank \d|^default|^m?track ?\d|^midi ?\d|^type \d|^ver(sion)?\b[ .]*\d"
    r"|^temp\b|^tmp|^gm\b|^xg\b|^gs\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^((song ?)?(title|name|titel|titre)|split track)\s*[:=]\s*|\*merged$", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(midi?|kar|rmi|wrk|nwc|mus|sib|mscz|cpr|gp\d|abc)$", re.IGNORECASE)
_PATH = re.compile(r"^([a-z]:)?[\\/].*[\\/]|^[a-z]:\\", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


def is_title(text: str) -> bool:
    """Whether a name may be that of a piece: no instrument, program, track, channel, address or copyright."""
    if "??" in text or _PHRASES.search(text):  # question marks: by a program that could not spell it
        return False
    if " " not in text and text.islower() and text[:1] < "\u0250":  # a file's name, or struck at random
        return False
    words = _WORD.findall(text.lower())
    if all(word in TRACK_WORDS or len(word) == 1 for word in words):
        return False
    return not text.isascii() or any(map(_is_word, words))


def _is_word(word: str) -> bool:
    """Whether letters of the alphabet look like a word, and not like keys struck at random or initials."""
    vowels = sum(letter in "aeiouy" for letter in word)
    return len(word) > 2 and 6 * vowels > len(word)


def title_of(events: Events) -> str | None:
    """Title of the piece, None if the file does not say.

    That is the @T line of a karaoke file, or a name of the first track that is the name of no instrument; if
    the first track has none, that of the second if it has several words.
    """
    for candidate, words in _candidates(events):
        text = decode_text(candidate)
        if text is None:
            continue
        title = _SUFFIX.sub("", _PATH.sub("", _LABEL.sub("", one_line(text)))).strip(" \"'_*-=~#<>:")
        if title and is_title(title) and _count_words(title) >= words:
            return title
    return None


def _count_words(title: str) -> int:
    return sum(len(word) > 1 and word not in TRACK_WORDS for word in _WORD.findall(title.lower()))


def _candidates(events: Events) -> Iterator[tuple[bytes, int]]:
    """Possible titles, and how many words they need that are no names of instruments."""
    names: dict[int, list[bytes]] = {0: [], 1: []}
    texts = 0
    for event in events.others:
        if event.kind == TRACK_NAME and event.track < 2 and len(names[event.track]) < MOST_NAMES:
            names[event.track].append(event.data)
        elif event.kind in (TEXT, LYRIC) and texts < MOST_TEXTS:
            texts += 1
            if event.data[:2] == b"@T":
                yield event.data[2:], 0
                texts = MOST_TEXTS  # those behind it name the artist
    yield from ((name, 0) for name in names[0])
    if not any(name.strip() for name in names[0]):
        yield from ((name, WORDS_OF_SECOND) for name in names[1][:1])


def composer_of(events: Events) -> str | None:
    """Composer, where a text of the first track plainly says ("Composer: ...", "composed by ...")."""
    for event in events.others:
        if event.track > 0 or event.kind not in (TEXT, COPYRIGHT, TRACK_NAME) or event.tick > 0:
            continue
        if b"ompos" not in event.data and b"OMPOS" not in event.data:
            continue
        text = one_line(decode_text(event.data) or "")
        match = _COMPOSER.match(text)
        if match:
            return match.group(1).strip(" .,;-")
    return None


_COMPOSER = re.compile(
    r"\W*(?:composer(?: is)?\s*[:=-]|composed by:?)\s*([^\W\d_][^\d()\[\]<>@:;,/]{2,60})", re.IGNORECASE
)


def track_names(events: Events) -> dict[int, str]:
    """Name of each track that has one: its track name, or else its instrument name."""
    names: dict[int, bytes] = {}
    for kind in (INSTRUMENT_NAME, TRACK_NAME):
        own: dict[int, bytes] = {}
        for event in events.meta(kind):
            if event.data.strip():
                own.setdefault(event.track, event.data)
        names |= own
    return {track: one_line(decode_text(name) or "") for track, name in names.items()}
