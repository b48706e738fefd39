"""Reading under the name that earlier versions gave this module; see `embedder.midi.reading`."""

from .midi.reading import Limits, MidiFile, load, parts_of, printable, read_midi, read_piece

__all__ = ["Limits", "MidiFile", "load", "parts_of", "printable", "read_midi", "read_piece"]
