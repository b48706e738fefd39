"""Text of MIDI files, which do not say how it is encoded."""

from __future__ import annotations

import codecs
import html
import unicodedata
from itertools import pairwise

__all__ = ["decode_text", "one_line"]

# Encodings that are tried where text is not UTF-8, most of them by programs of one country.
ENCODINGS = ("cp932", "gbk", "cp1251", "cp1252")
LONGEST = 1_024  # bytes that are looked at
PUNCTUATION = frozenset("’‘“”„–—…«»¿¡°ºª©®№·、。・「」『』（）！？：；，～〜ー々〆　")


def decode_text(data: bytes) -> str | None:
    """Text of bytes in UTF-8 or, if it is none, in the likeliest of a few encodings; None if none fits.

    Of text that is mostly ASCII, Western European is tried first. Else charset-normalizer proposes, and what
    mixes scripts within a word, or holds other signs than letters and punctuation, is refused.
    """
    cut = len(data) >= LONGEST
    data = data[:LONGEST]
    try:
        # What was cut may end within a letter, which is then left out.
        text, _ = codecs.utf_8_decode(data, "strict", not cut)
        return text
    except UnicodeDecodeError:
        pass
    high = sum(byte > 0x7F for byte in data)
    if 2 * high <= sum(chr(byte).isalpha() for byte in data if byte < 0x80) + high:
        western = _decoded(data, "cp1252")
        if western is not None and _is_plausible(western):
            return western
    from charset_normalizer import from_bytes

    for match in from_bytes(data, cp_isolation=list(ENCODINGS), threshold=0.5, enable_fallback=False):
        text = str(match)
        if _is_plausible(text):
            return text
    return None


def one_line(text: str) -> str:
    """Text as one line of at most 200 characters, HTML entities decoded and control characters left out."""
    if "&" in text:
        text = html.unescape(text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").partition(" ")[0]


def _is_plausible(text: str) -> bool:
    """Whether signs beyond ASCII are letters or punctuation, and letters of a word share a script."""
    for sign in text:
        if sign > "\x7f" and not (sign.isalpha() or sign in PUNCTUATION or sign.isspace()):
            return False
    for word in "".join(c if c.isalpha() else " " for c in text).split():
        scripts = {_script(letter) for letter in word}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "CJK", "HALFWIDTH", "GREEK"}:
            return False
        if "HALFWIDTH" in scripts and "CJK" in scripts:
            return False
        if "CYRILLIC" in scripts and not _is_cased_plainly(word):
            return False
    return True


def _is_cased_plainly(word: str) -> bool:
    """No capital behind a small letter, as bytes of another encoding would have it."""
    return not any(a.islower() and b.isupper() for a, b in pairwise(word))
