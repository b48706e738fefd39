"""What all packages stand on: errors, files, arrays, progress. Nothing of music is known here."""
