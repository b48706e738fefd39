"""Tags of the user's own: labels of pieces, from and to tables, with a history.

`tags.Tags` is what `Library.tags` offers; the names here are what probes build on.
"""

from .labels import active_labels, apply_edits, find_tag, labelled_tags
from .records import FACET, FREE, NO, YES, LabelEdit, LabelReport, checked_name

__all__ = [
    "FACET",
    "FREE",
    "NO",
    "YES",
    "LabelEdit",
    "LabelReport",
    "active_labels",
    "apply_edits",
    "checked_name",
    "find_tag",
    "labelled_tags",
]
