"""Probes: linear classifiers on the vectors, which learn tags from a few labelled pieces."""
