"""Which works of music21's corpus make the demonstration library, and which of them set the same tune.

The sets of chorales were found by comparing the intervals of their top voices and confirmed by their titles:
each line holds Bach's settings of one chorale melody, some of them transposed, some with other note values.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from embedder.core.errors import MidikinError

__all__ = ["CHORALE_TUNES", "MIN_WORKS", "PASSION_CHORALE", "Work", "settings_of", "works"]

MIN_WORKS = 150  # pieces; with fewer the answers would say little
PASSION_CHORALE = "Herzlich tut mich verlangen"

CHORALE_TUNES: dict[str, str] = {
    PASSION_CHORALE: "135.6 153.5 244.15 244.17 244.44 244.54 244.62 248.5 248.64-s 270 271",
    "O Welt, ich muss dich lassen": "13.6 44.7 244.10 244.37 245.11 392 393 394 395",
    "Jesu, meine Freude": "64.8 81.7 87.7 227.1 227.3 227.7 227.11 358",
    "Was mein Gott will, das gscheh allzeit": "65.7 72.6 92.9 103.6 111.6 144.6 244.25",
    "Wer nur den lieben Gott laesst walten": "84.5 88.7 93.7 166.6 179.6 197.10 434",
    "Es ist das Heil uns kommen her": "9.7 86.6 117.4 155.5 177.4 251",
    "Freu dich sehr, o meine Seele": "25.6 30.6 32.6 39.7 70.7 194.6",
    "Werde munter, mein Gemuete": "55.5 146.8 154.3 244.40 359 360",
    "Vater unser im Himmelreich": "90.5 101.7 102.7 245.5 416",
    "Wo Gott der Herr nicht bei uns haelt": "114.7 178.7 256 257 258",
    "Meinen Jesum lass ich nicht": "124.6 154.8 157.5 244.29-a 380",
    "Christ lag in Todesbanden": "4.8 158.4 277 278 279",
    "O Gott, du frommer Gott": "45.7 64.4 94.8 197.7-a 398",
    "Herr Jesu Christ, du hoechstes Gut": "48.7 113.8 168.6 334",
    "Auf meinen lieben Gott": "5.7 89.6 148.6 188.6",
    "Lobt Gott, ihr Christen allzugleich": "151.5 195.6 375 376",
    "Herzliebster Jesu": "244.3 244.46 245.3 245.17",
    "Was Gott tut, das ist wohlgetan": "69.6-a 99.6 144.3 250",
    "Gelobet seist du, Jesu Christ": "64.2 91.6 248.28 314",
    "Jesu, der du meine Seele": "78.7 352 353 354",
    "Von Gott will ich nicht lassen": "73.5 417 418 419",
    "Wir Christenleut": "40.3 110.7 248.35-3",
    "Ein feste Burg ist unser Gott": "80.8 302 303",
}

# (folder in the library, pattern in the corpus, how many at most, in the order of their names)
_OTHERS: tuple[tuple[str, str, int], ...] = (
    ("bach/other chorales", "bach/bwv26?.mxl", 10),
    ("bach/other chorales", "bach/bwv28?.mxl", 10),
    ("bach/other chorales", "bach/bwv32?.mxl", 10),
    ("bach", "bach/bwv846.mxl", 1),
    ("beethoven/op 18 no 1", "beethoven/opus18no1/*.mxl", 4),
    ("beethoven/op 59 no 1", "beethoven/opus59no1/movement1.mxl", 1),
    ("beethoven/op 59 no 2", "beethoven/opus59no2/movement[24].mxl", 2),
    ("beethoven/op 59 no 3", "beethoven/opus59no3/movement1.mxl", 1),
    ("haydn/op 1 no 1", "haydn/opus1no1/*.mxl", 5),
    ("haydn/op 74 no 1", "haydn/opus74no1/*.mxl", 4),
    ("mozart/k 80", "mozart/k80/*.mxl", 4),
    ("mozart/k 155", "mozart/k155/*.mxl", 3),
    ("mozart/k 156", "mozart/k156/*.mxl", 4),
    ("mozart/k 458", "mozart/k458/*.mxl", 4),
    ("schumann/op 41 no 1", "schumann_robert/opus41no1/movement[2345].mxl", 4),
    ("clara schumann", "schumann_clara/*.mxl", 4),
    ("joplin", "joplin/*.mxl", 1),
    ("chopin", "chopin/*.krn", 1),
    ("corelli", "corelli/opus3no1/*.xml", 1),
    ("carl philipp emanuel bach", "cpebach/*.mxl", 1),
    ("handel", "handel/rinaldo/*.mxl", 1),
    ("schubert", "schubert/*.xml", 1),
    ("verdi", "verdi/*.mxl", 1),
    ("beach", "beach/*.musicxml", 1),
    ("liliuokalani", "liliuokalani/*.mxl", 1),
    ("rosamond johnson", "johnson_j_r/*.mxl", 1),
    ("webern", "webern/*.mxl", 1),
    ("schoenberg", "schoenberg/opus19/*.mxl", 2),
    ("lusitano", "lusitano/*.mxl", 1),
    ("palestrina", "palestrina/Agnus_[01]?.krn", 12),
    ("palestrina", "palestrina/Kyrie_*.krn", 18),
    ("monteverdi", "monteverdi/madrigal.3.?.mxl", 9),
    ("monteverdi", "monteverdi/madrigal.4.?.mxl", 9),
    ("trecento", "trecento/PMFC_06*.xml", 12),
    ("trecento", "trecento/PMFC_12*.xml", 12),
    ("fiddle tunes", "ryansMammoth/A*Reel.abc", 15),
    ("fiddle tunes", "ryansMammoth/*Jig.abc", 15),
    ("fiddle tunes", "ryansMammoth/[B-D]*Hornpipe.abc", 15),
)
_SONGS = ("essenFolksong/altdeu10.abc", "essenFolksong/boehme10.abc")  # books of songs, by number
_SONGS_OF_EACH = 12


@dataclass(frozen=True)
class Work:
    """One piece of the demonstration.

    Attributes
    ----------
    source : path below music21's corpus
    number : which of several pieces in that file, or None
    name : path of its MIDI file below the folder of the demonstration's music
    """

    source: str
    number: int | None
    name: str


def works() -> list[Work]:
    """The pieces that the installed music21 has, each with a name of its own.

    Raises
    ------
    MidikinError
        If music21 is not installed, or comes without its corpus.
    """
    corpus = corpus_folder()
    chosen = {
        work.name: work
        for tune, numbers in CHORALE_TUNES.items()
        for work in (_chorale(tune, number) for number in numbers.split())
        if (corpus / work.source).is_file()
    }
    taken = {work.source for work in chosen.values()}
    for folder, pattern, max_works in _OTHERS:
        paths = sorted(path.relative_to(corpus).as_posix() for path in corpus.glob(pattern))
        for source in [path for path in paths if path not in taken][:max_works]:
            work = Work(source, None, f"{folder}/{Path(source).stem}.mid")
            chosen[work.name] = work
    for book in _SONGS:
        if (corpus / book).is_file():
            for number in range(1, _SONGS_OF_EACH + 1):
                work = Work(book, number, f"folk songs/{Path(book).stem} {number:02d}.mid")
                chosen[work.name] = work
    if len(chosen) < MIN_WORKS:
        raise MidikinError(
            f"the installed music21 holds only {len(chosen)} of the demonstration's works; "
            f"install it again: pip install --force-reinstall music21"
        )
    return list(chosen.values())


def settings_of(tune: str) -> list[Work]:
    """Bach's settings of a tune."""
    return [_chorale(tune, number) for number in CHORALE_TUNES[tune].split()]


def corpus_folder() -> Path:
    """Where music21 keeps its scores; it is not imported for that.

    Raises
    ------
    MidikinError
        If it is not installed.
    """
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise MidikinError("the demonstration needs the package music21: pip install 'midikin[demo]'")
    return Path(spec.submodule_search_locations[0]) / "corpus"


def _chorale(tune: str, number: str) -> Work:
    return Work(f"bach/bwv{number}.mxl", None, f"bach/{tune}/bwv{number}.mid")
