"""A library on disk: the database, its tables and what its blobs mean, locks, paths and errors.

`storage.pieces` reads and writes pieces as records, `storage.verify` and `storage.repair` look after damage.
"""

from .codecs import SPAN, crc_of, pack_vectors, unpack_spans, unpack_vectors
from .database import Database, chunks, upsert
from .errors import DATABASE_NAME, damaged, decoding, disk_errors, library_error
from .locks import Claim, writer_lock
from .note_codec import pack_notes, unpack_notes
from .paths import MIDI_SUFFIXES, absolute, below, clamped_ns, display, from_bytes, is_midi_name, to_bytes

__all__ = [
    "DATABASE_NAME",
    "MIDI_SUFFIXES",
    "SPAN",
    "Claim",
    "Database",
    "absolute",
    "below",
    "chunks",
    "clamped_ns",
    "crc_of",
    "damaged",
    "decoding",
    "disk_errors",
    "display",
    "from_bytes",
    "is_midi_name",
    "library_error",
    "pack_notes",
    "pack_vectors",
    "to_bytes",
    "unpack_notes",
    "unpack_spans",
    "unpack_vectors",
    "upsert",
    "writer_lock",
]
