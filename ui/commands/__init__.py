"""The commands of `midikin`, a file each; `ui.registry` lists them."""
