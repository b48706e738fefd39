"""Training of the encoder that hears whole ensembles: corpora with parts, contrast in stages."""
