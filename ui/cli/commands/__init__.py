"""The commands of `midikin`, a file each; `ui.cli.registry` lists them."""
