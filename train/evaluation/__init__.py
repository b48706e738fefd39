"""Measuring encoders: every task that a folder of labelled MIDI files allows, hand-made rows always beside.

collection     files, labels and works of the folders, and which of them no encoder has seen
systems        what makes vectors: encoders, their learned parts, hand-made baselines
alterations    the ten ways in which a query is altered
finding        retrieval: scores and performances, takes, excerpts, altered copies
probing        linear probes with few and many labels
measuring      all of it, and the figures as a table
plots          figures drawn
"""

from .datasets import Collection, collect
from .run import Evaluation, EvaluationSettings, evaluate

__all__ = ["Collection", "Evaluation", "EvaluationSettings", "collect", "evaluate"]
