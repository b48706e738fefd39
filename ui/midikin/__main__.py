"""`python -m midikin`: the command `midikin`."""

from ui.cli import main

main()
