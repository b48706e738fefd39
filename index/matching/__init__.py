"""Is this the same music, and where? Landmarks propose, alignment of the notes decides."""

from .block_matching import IndexedPiece
from .candidates import find_candidates
from .classify import Evidence, Kind, Link, Relation, classify_pair, identical_evidence
from .compare import Compared, compare_files
from .find import FindResult, Match
from .fingerprints import Fingerprints, Snapshot
from .matching import Matching
from .postings import Segment, open_segment
from .works import group_works, landmark_keys, link_versions

__all__ = [
    "Compared",
    "Evidence",
    "FindResult",
    "Fingerprints",
    "IndexedPiece",
    "Kind",
    "Link",
    "Match",
    "Matching",
    "Relation",
    "Segment",
    "Snapshot",
    "classify_pair",
    "compare_files",
    "find_candidates",
    "group_works",
    "identical_evidence",
    "landmark_keys",
    "link_versions",
    "open_segment",
]
