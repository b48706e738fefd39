"""Tables of the library's database.

    meta           name -> value: schema version, random id of the library, encoder, dimension, commit number
    pieces         one row for each content (distinct bytes): what describes it and can be filtered on
    paths          every file that holds a piece, as bytes, with size and time of change
    piece_vectors  one vector for each piece
    windows        vectors, times and note ranges of all windows of a piece, packed in one row
    notes          the notes of a piece, packed
    failures       files and folders that could not be read, with the reason

A piece's windows are one row, not one row each: a million pieces have ten to thirty million windows, they are
always written, read and removed together, and a row each would add more B-tree than vectors. The four
tables of one row a piece stand apart because they are read apart: a filter scans `pieces` without stepping
over blobs, and the piece index is rebuilt without touching the windows, which are twenty times larger.

Numbers of pieces are never used twice (AUTOINCREMENT), and what a number stands for changes only when files
are read again by a better reader (`pieces.reading`), after which every cache is made anew
(`Database.library_id`): so a cache is brought up to date by comparing numbers alone.

`crc` is the CRC-32 of a row's blobs; NULL in rows of a midikin that did not write it.

Parts of the library that have tables of their own keep them in their own files; `TABLE_MODULES` names those,
and `tables` gives all. Whoever changes a table raises `SCHEMA_VERSION` and writes the revision that leads
there (`index.storage.migrations`).
"""

from __future__ import annotations

import importlib

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

__all__ = [
    "DESCRIPTOR_COLUMNS",
    "SCHEMA_VERSION",
    "TABLE_MODULES",
    "failures",
    "meta",
    "metadata",
    "notes",
    "paths",
    "piece_vectors",
    "pieces",
    "tables",
    "windows",
]

SCHEMA_VERSION = 3
TABLE_MODULES = ("index.duplicates.decisions", "index.tags.schema")

metadata = MetaData()

# Sizes and times in ns do not fit 32 bits; SQLite's integers are as wide as they need to be.
LARGE = BigInteger().with_variant(Integer, "sqlite")


def tables() -> MetaData:
    """All tables of a library, those of its parts included."""
    for module in TABLE_MODULES:
        importlib.import_module(module)
    return metadata


meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

# Columns of `pieces` that hold the fields of embedder.Descriptors, by the same names.
DESCRIPTOR_COLUMNS = (
    "duration_s",
    "notes",
    "density",
    "pitch_low",
    "pitch_high",
    "pitch_mean",
    "polyphony",
    "velocity_mean",
    "key",
    "key_confidence",
    "tempo_bpm",
    "tempo_estimated",
    "meter",
    "parts",
    "drum_notes",
    "doubled_parts",
)

pieces = Table(
    "pieces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, index=True),
    Column("size_bytes", LARGE, nullable=False),
    Column("title", Text, index=True),
    Column("windows", Integer, nullable=False),
    Column("start_s", Float, nullable=False),
    Column("end_s", Float, nullable=False),
    Column("duration_s", Float, nullable=False, index=True),
    Column("notes", Integer, nullable=False, index=True),
    Column("density", Float, nullable=False, index=True),
    Column("pitch_low", Integer, nullable=False, index=True),
    Column("pitch_high", Integer, nullable=False, index=True),
    Column("pitch_mean", Float, nullable=False, index=True),
    Column("polyphony", Float, nullable=False, index=True),
    Column("velocity_mean", Float, nullable=False, index=True),
    Column("key", Text, nullable=False, index=True),
    Column("key_confidence", Float, nullable=False, index=True),
    Column("tempo_bpm", Float, index=True),
    Column("added_s", Float, nullable=False),
    Column("reading", Integer, nullable=False, server_default="0"),
    Column("parts", Integer, index=True),
    Column("drum_notes", Integer, index=True),
    Column("doubled_parts", Integer),
    Column("instruments", Text),
    Column("meter", Text),
    Column("tempo_estimated", Integer),
    Column("composer", Text),
    Column("partly_read", Text),
    sqlite_autoincrement=True,
)


def _of_piece() -> Column[int]:
    return Column("piece_id", ForeignKey("pieces.id", ondelete="CASCADE"), primary_key=True)


paths = Table(
    "paths",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", LargeBinary, nullable=False, unique=True),
    Column("display", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("piece_id", ForeignKey("pieces.id", ondelete="CASCADE"), nullable=False),
    Column("size_bytes", LARGE, nullable=False),
    Column("mtime_ns", LARGE, nullable=False),
    Column("seen_s", Float, nullable=False),
    Column("changed_ns", LARGE),
    Column("inode", LARGE),
    Index("ix_paths_piece_id", "piece_id"),
)

piece_vectors = Table(
    "piece_vectors",
    metadata,
    _of_piece(),
    Column("vector", LargeBinary, nullable=False),
    Column("crc", LARGE),
)

windows = Table(
    "windows",
    metadata,
    _of_piece(),
    Column("spans", LargeBinary, nullable=False),
    Column("vectors", LargeBinary, nullable=False),
    Column("crc", LARGE),
)

notes = Table(
    "notes", metadata, _of_piece(), Column("packed", LargeBinary, nullable=False), Column("crc", LARGE)
)

failures = Table(
    "failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", LargeBinary, nullable=False, unique=True),
    Column("display", Text, nullable=False),
    Column("size_bytes", LARGE),
    Column("changed_ns", LARGE),
    Column("reason", Text, nullable=False),
    Column("failed_s", Float, nullable=False),
)
