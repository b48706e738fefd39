"""Is this the same music, and where? Landmarks propose, alignment of the notes decides."""

from .block_matching import IndexedPiece
from .candidates import find_candidates
from .classify import Evidence, Kind, Link, Relation, classify_pair, identical_evidence
from .compare import Compared, compare_files
from .find import FindResult, Found, Match
from .fingerprints import Fingerprints, Snapshot
from .matching import Matching
from .postings import InvertedIndex, Segment, expand_ranges, open_segment, rarest_first
from .sources import Source, Target, resolve
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
    "Source",
    "Target",
    "classify_pair",
    "compare_files",
    "expand_ranges",
    "find_candidates",
    "group_works",
    "identical_evidence",
    "landmark_keys",
    "link_versions",
    "open_segment",
    "rarest_first",
    "resolve",
]
