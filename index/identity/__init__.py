"""Is this the same music, and where? Fingerprints propose, alignment of the notes disposes.

landmarks      constellations of near notes, free of tempo
segment        landmarks and notes of many pieces in one file, read in place
fingerprints   the segments of a library, kept in step with its database
voting         which pieces share rare landmarks with a query, and about where
warp           how the clock of one piece runs against another's
alignment      a query against a place of a piece, note by note
confidence     how sure that makes
places, finding        where a passage is from
agreement, comparing   two whole pieces against each other
facade         what `Library` inherits of all this
"""
