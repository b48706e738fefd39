"""What two pieces share, in plain words, from what describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedder.descriptors import Descriptors

__all__ = ["shared_traits"]

SURE_OF_KEY = 0.5

# (descriptor, largest ratio that still counts as similar, words)
_RATIOS = (
    ("tempo_bpm", 1.05, "similar tempo, {:.0f} beats a minute"),
    ("duration_s", 1.1, "similar length, {}"),
    ("density", 1.15, "similar density, {:.1f} notes a second"),
    ("polyphony", 1.12, "similar texture, {:.1f} notes at once"),
)
PITCH_NEAR = 2.0  # semitones between mean pitches
VELOCITY_NEAR = 6.0
# What programs write where nobody has chosen a tempo: two files that have it need not share anything.
DEFAULT_BPM = 120.0


def shared_traits(query: Descriptors, hit: Descriptors, *, same_notes: bool) -> tuple[str, ...]:
    """Short phrases, the most telling first; empty if nothing is alike.

    Parameters
    ----------
    same_notes : whether the two hold exactly the same notes in different files
    """
    traits = ["the very same notes in another file"] if same_notes else []
    if query.key == hit.key and min(query.key_confidence, hit.key_confidence) >= SURE_OF_KEY:
        traits.append(f"same key, {hit.key}")
    for name, ratio, words in _RATIOS:
        ours, theirs = getattr(query, name), getattr(hit, name)
        if name == "tempo_bpm" and ours == theirs == DEFAULT_BPM:
            continue
        if ours and theirs and max(ours, theirs) <= ratio * min(ours, theirs):
            traits.append(words.format(_clock(theirs) if name == "duration_s" else theirs))
    if abs(query.pitch_mean - hit.pitch_mean) <= PITCH_NEAR:
        traits.append("similar register")
    if abs(query.velocity_mean - hit.velocity_mean) <= VELOCITY_NEAR:
        traits.append("similar loudness")
    return tuple(traits)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
