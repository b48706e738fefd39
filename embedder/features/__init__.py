"""Hand-crafted features of notes: counted for many pieces at once, and projected to parts of a vector."""
