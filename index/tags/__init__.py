"""Tags of the user's own, and probes that learn them from a few labelled pieces.

tables, records, probe_records, names  what is stored and what is answered
targets, labelling, folders, listing   who is meant, what was said and undone, what stands
tablefiles, importing, exporting       labels from and to files
gallery, examples, space, linear       from labels and vectors to a calibrated probe
folds, grouping, handmade, scoring     how good it is, with folds that keep the versions of a work together
outside                                music that is like none that was labelled
storing, training, applying, reviewing probes of a library and what they predict
suggesting, curve, asking              which piece to label next, and what more labels would bring
traits, explaining                     why, and where in the piece
facade                                 what `Library` inherits of all this
"""
