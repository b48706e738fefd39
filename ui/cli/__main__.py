"""`python -m ui.cli`: the command `midikin`."""

from . import main

main()
