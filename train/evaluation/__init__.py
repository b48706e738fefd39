"""Evaluation of encoders: every task that folders of labelled MIDI files allow, baselines in the same run.

datasets       the pieces: files, labels, headers and works, and which of them training has used
systems        what makes vectors: encoders, their learned parts, states of runs, hand-crafted baselines
tasks          the registry of tasks
retrieval      scores and performances, takes, excerpts, altered copies; recall and average precision
linear_probe   label tasks, with few and many labels
note_tasks     tasks about single notes
run            all tasks for all systems
report         the table
plots          the plots
melody         melody models on a corpus of songs with voices
"""

from .datasets import Collection, collect
from .report import Evaluation
from .run import SHARES, EvaluationSettings, evaluate
from .tasks import TASKS

__all__ = ["SHARES", "TASKS", "Collection", "Evaluation", "EvaluationSettings", "collect", "evaluate"]
