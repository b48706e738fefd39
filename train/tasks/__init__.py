"""Music-information tasks, one definition each, for all encoders alike.

headers        key, metre and tempo as notated files state them
labels         tasks about whole pieces that a linear probe reads: their names, and the label of a piece
passages       which passage follows?
notewise       tasks about single notes: its voice, its loudness
states         what makes vectors: the states of a transformer, layer by layer, without any head
running        all tasks for all systems, and the table
"""

from .running import TASKS, TaskTable, run_tasks

__all__ = ["TASKS", "TaskTable", "run_tasks"]
