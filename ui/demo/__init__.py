"""The demonstration: real music that the music21 package carries, a library of it, three searches explained."""
