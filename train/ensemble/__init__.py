"""Training of the encoder that hears whole ensembles: corpora with parts, pretraining and contrast in stages."""
