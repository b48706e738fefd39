"""Works: versions of one composition are linked by their landmarks, and labels add to that."""

from __future__ import annotations

import numpy as np

from embedder.notes import Notes
from index.matching.works import group_works, landmark_keys, link_versions
from tests.support.fake_encoder import tune


def test_versions_of_a_work_are_linked_and_other_music_is_not() -> None:
    rng = np.random.default_rng(0)
    versions = [tune(1, 300), tune(1, 300).drop(0.1, rng), tune(1, 300).slice_notes(50, 200).stretch(1.3)]
    pieces = [versions[0], tune(2, 300), versions[1], tune(3, 300), versions[2]]
    assert link_versions([landmark_keys(piece) for piece in pieces]) == [(0, 2), (0, 4), (2, 4)]


def test_works_are_components_of_links_and_of_labels_that_agree() -> None:
    cues = [["a"], [], ["b"], ["c", "a"], [], []]
    assert group_works(6, [(1, 4), (2, 4)], cues).tolist() == [0, 1, 1, 0, 1, 2]
    assert group_works(0, []).tolist() == []


def test_pieces_without_landmarks_are_works_of_their_own() -> None:
    assert link_versions([landmark_keys(Notes.empty()), landmark_keys(tune(1).slice_notes(0, 2))]) == []
    assert link_versions([]) == []


def test_a_short_accompaniment_does_not_join_the_pieces_it_lies_in() -> None:
    """Landmarks as plain numbers: a bar that three long pieces hold, and a twentieth of one of them."""
    bar = np.arange(10)
    long = [np.concatenate([np.arange(first, first + 10_000), bar]) for first in (10_000, 20_000, 30_000)]
    others = [np.arange(first, first + 500) for first in range(50_000, 60_000, 500)]
    keys = [bar, *long, long[1][:500], *others]
    assert link_versions([key.astype(np.uint32) for key in keys]) == [(2, 4)]
