"""Tags of the user's own, and probes that learn them from a few labelled pieces.

tables, records, names      what is stored and what is answered
targets, labelling, listing labels: who is meant, what was said, what stands
tablefiles, importing, exporting      labels from and to files
examples, space, linear, calibration  from labels and vectors to a probe
grouping, scoring           how good it is, with folds that keep copies of one work together
storing, training, applying, reviewing  probes of a library and what they predict
suggesting, curve           which piece to label next, and what more labels would bring
explaining                  why, and where in the piece
facade                      what `Library` inherits of all this
"""
