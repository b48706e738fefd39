"""Is this the same music, and where? Landmarks propose, alignment of the notes decides."""

from .block_matching import IndexedPiece
from .candidates import find_candidates
from .classify import (
    Evidence,
    Kind,
    Link,
    Relation,
    arrangement_of,
    classify_pair,
    identical_evidence,
    in_arrangements,
)
from .compare import Compared, compare_files, matchable_notes
from .find import FindResult, Found, Match
from .fingerprints import Fingerprints, Snapshot
from .matching import Matching
from .postings import InvertedIndex, Segment, expand_ranges, open_segment, rarest_first
from .works import group_works, landmark_keys, link_versions

__all__ = [
    "Compared",
    "Evidence",
    "FindResult",
    "Fingerprints",
    "Found",
    "IndexedPiece",
    "InvertedIndex",
    "Kind",
    "Link",
    "Match",
    "Matching",
    "Relation",
    "Segment",
    "Snapshot",
    "arrangement_of",
    "classify_pair",
    "compare_files",
    "expand_ranges",
    "find_candidates",
    "group_works",
    "identical_evidence",
    "in_arrangements",
    "landmark_keys",
    "link_versions",
    "matchable_notes",
    "open_segment",
    "rarest_first",
]
