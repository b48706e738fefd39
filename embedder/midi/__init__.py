"""MIDI files and `Notes`: reading, in worker processes too, and writing."""
