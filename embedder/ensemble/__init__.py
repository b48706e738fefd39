"""The encoder that hears ensembles: token front with parts, patch transformer, checkpoint format 2."""
