"""Is this the same music, and where? Fingerprints propose, alignment of the notes decides."""
