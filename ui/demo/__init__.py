"""The demonstration: a library of the real music that the music21 package carries, and three searches."""
