"""Three looks at a tag: which piece to label next, what the probe thinks of the rest, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from ui.cli.output import count

from .. import state
from ..cards import facts, piece_head, title_of
from ..components import piano_roll
from ..escaping import plain
from ..job_status import followed, how_it_failed
from .tag_form import tag_form

if TYPE_CHECKING:
    from index import Library, Prediction, Probe, Tag

__all__ = ["label_next", "predictions", "probe_scores"]

SUGGESTED = 5
LISTED = 300
HEARD = 3  # rolls shown of what is marked in the table


def label_next(library: Library, tag: Tag) -> None:
    """The pieces whose label would teach the probe most, to hear and to label."""
    suggested = library.probes.suggest(tag.name, SUGGESTED)
    if suggested.says:
        st.caption(plain(suggested.says))
    if suggested.curve:
        st.line_chart(
            {
                "labels": [point.labels for point in (*suggested.curve, *suggested.forecast)],
                "measured": [*(p.accuracy for p in suggested.curve), *(None for _ in suggested.forecast)],
                "forecast": [*(None for _ in suggested.curve), *(p.accuracy for p in suggested.forecast)],
            },
            x="labels",
            y=["measured", "forecast"],
            height=240,
            y_label="share right",
        )
    if not suggested.pieces:
        st.success("Every piece is labelled.", icon=":material/check:")
    values = _values(tag)
    for one in suggested.pieces:
        piece = library.piece(one.piece_id)
        with st.container(border=True, gap="xsmall"):
            thought = "" if one.value is None else f"perhaps {one.value}"
            thought += "" if one.probability is None else f", {one.probability:.0%}"
            lines = [f"{facts(piece.descriptors)} · {one.why}"]
            piece_head(title_of(piece), piece.display, piece.id, badge=thought, lines=lines)
            piano_roll(f"label-{tag.name}-{piece.id}", library.notes(piece.id), name=title_of(piece))
            _label_buttons(tag, values, piece.id, one.value)


def _values(tag: Tag) -> list[str]:
    return [value.value for value in tag.values]


def _label_buttons(tag: Tag, values: Sequence[str], number: int, likely: str | None) -> None:
    """A button for each value, the likely one in colour; of many values the likeliest ones and a list."""
    shown = sorted(values, key=lambda value: value != likely)[:8]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for place, value in enumerate(shown):
            st.button(
                plain(value),
                key=f"label-{number}-{place}",
                on_click=_label,
                args=(tag, number, value),
                type="primary" if value == likely else "secondary",
            )
        if tag.kind == "facet":
            st.selectbox(
                "Another value",
                values,
                index=None,
                key=f"other-{number}",
                accept_new_options=True,
                width=220,
                placeholder="another value",
                label_visibility="collapsed",
                on_change=_label_other,
                args=(tag, number),
            )


def _label(tag: Tag, number: int, value: str) -> None:
    with state.errors_shown():
        if tag.kind == "facet":
            state.library().tags.label(tag.name, number, value=value)
        else:
            state.library().tags.label(tag.name, number, holds=value == "yes")
        st.toast(f"{plain(tag.name)}: {plain(value)}", icon=":material/label:")


def _label_other(tag: Tag, number: int) -> None:
    value = (st.session_state[f"other-{number}"] or "").strip()
    if value:
        _label(tag, number, value)


# -- predictions -----------------------------------------------------------------------------------


def predictions(library: Library, tag: Tag) -> None:
    """What the probe says of the pieces without a label: to accept in bulk, or to take back."""
    _train_button(tag)
    if tag.probe == "none":
        st.info(
            "There is no probe of this tag yet. Label some pieces, then train one.",
            icon=":material/psychology:",
        )
        return
    which = {"inside": "Predicted", "outside": "Left untagged"}
    if (
        st.segmented_control("Pieces", which, format_func=which.get, default="inside", key="which")
        == "outside"
    ):
        _outside(library, tag)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.selectbox("Value", [None, *_values(tag)], format_func=lambda v: v or "any", width=240)
        least = st.slider("At least as sure as", 0.0, 1.0, 0.8, 0.01, key="least", width=280)
    found = library.probes.predictions(tag.name, value=value, least=least, limit=LISTED)
    if not found:
        st.info(
            "The probe is as sure as that of no piece. Lower the limit, or label more.",
            icon=":material/tune:",
        )
        return
    table = st.dataframe(
        {
            "piece": [one.piece_id for one in found],
            "file": [one.display for one in found],
            "value": [one.value for one in found],
            "sure": [one.probability for one in found],
            "or": [one.runner_up or "" for one in found],
        },
        hide_index=True,
        key="predicted",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "sure": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent")
        },
    )
    marked = [found[row] for row in table.selection.rows if row < len(found)]
    with st.container(horizontal=True):
        more = "at least " if len(found) == LISTED else ""
        if marked:
            numbers = [one.piece_id for one in marked]
            st.button(
                f"Accept these {len(marked)}",
                on_click=_accept,
                args=(tag, numbers, None, None),
                type="primary",
            )
            st.button(f"Reject these {len(marked)}", on_click=_reject, args=(tag, numbers))
        else:
            label = f"Accept all, {more}{len(found)}, that are at least {least:.0%} sure"
            st.button(label, on_click=_accept, args=(tag, None, value, least), type="primary")
            st.caption("Mark rows to hear them, or to accept or reject only these.")
    for one in marked[:HEARD]:
        _heard(library, one, badge=f"{one.value}, {one.probability:.0%}")
        with st.expander("Why?"):
            for line in library.probes.explain(tag.name, one.piece_id).says:
                st.markdown(plain(line))


def _heard(library: Library, one: Prediction, *, badge: str) -> None:
    piece = library.piece(one.piece_id)
    piece_head(title_of(piece), piece.display, piece.id, badge=badge)
    piano_roll(f"predicted-{piece.id}", library.notes(piece.id), name=title_of(piece))


def _outside(library: Library, tag: Tag) -> None:
    """The pieces that are like none that was labelled: the probe's word for them is not taken."""
    found = library.probes.predictions(tag.name, outside=True, limit=LISTED)
    if not found:
        st.info("No piece was left untagged.", icon=":material/check:")
        return
    more = "The first " if len(found) == LISTED else ""
    st.caption(
        f"{more}{count(len(found), 'piece')} unlike all that is labelled, and so left untagged. "
        "Mark rows to hear them; label some, and the probe learns of their kind."
    )
    table = st.dataframe(
        {"piece": [one.piece_id for one in found], "file": [one.display for one in found]},
        hide_index=True,
        key="outside",
        on_select="rerun",
        selection_mode="multi-row",
    )
    marked = [found[row] for row in table.selection.rows if row < len(found)]
    for one in marked[:HEARD]:
        _heard(library, one, badge="left untagged")
    if marked:
        tag_form(library, [one.piece_id for one in marked], key="outside")


def _accept(tag: Tag, numbers: list[int] | None, value: str | None, least: float | None) -> None:
    with state.errors_shown():
        report = state.library().probes.accept(tag.name, numbers, value=value, least=least)
        st.toast(f"{report.set:,} predictions accepted", icon=":material/done_all:")


def _reject(tag: Tag, numbers: list[int]) -> None:
    with state.errors_shown():
        report = state.library().probes.reject(tag.name, numbers)
        st.toast(f"{report.set:,} predictions rejected", icon=":material/close:")


def _train_button(tag: Tag) -> None:
    """Train and apply, in the background."""
    job = state.jobs().last("probe")
    if job is not None and job.running:
        if job.request["tag"] == tag.name:
            followed("probe")
        else:
            st.caption(
                f"The probe of {plain(job.request['tag'])} is being trained; then it is this one's turn."
            )
        return
    how_it_failed("probe", tag=tag.name)
    label = "Train the probe" if tag.probe == "none" else "Train it again"
    kind = "primary" if tag.probe != "current" else "secondary"
    st.button(label, type=kind, icon=":material/psychology:", on_click=_train, args=(tag.name,))


def _train(name: str) -> None:
    with state.errors_shown():
        state.jobs().start("probe", tag=name)


# -- how good is it --------------------------------------------------------------------------------


def probe_scores(library: Library, tag: Tag) -> None:
    """The probe's scores, beside what the commonest value and hand-made numbers reach."""
    _train_button(tag)
    if tag.probe == "none":
        st.info(
            "There is no probe of this tag yet. Label some pieces, then train one.",
            icon=":material/psychology:",
        )
        return
    probe = library.probes.show(tag.name)
    for remark in probe.remarks:
        st.caption(plain(remark))
    if probe.scores is None:
        st.info("There are too few labels to measure how good it is.", icon=":material/straighten:")
        return
    _rivals(probe)
    scores = probe.scores
    st.dataframe(
        {
            "value": [one.value for one in scores.per_class],
            "labels": [one.labels for one in scores.per_class],
            "precision": [one.precision for one in scores.per_class],
            "recall": [one.recall for one in scores.per_class],
            "F1": [one.f1 for one in scores.per_class],
        },
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.2f") for name in ("precision", "recall", "F1")
        },
    )
    with st.expander("What is taken for what"):
        table = {"labelled": list(probe.classes)}
        table |= {f"as {name}": [row[i] for row in scores.confusion] for i, name in enumerate(probe.classes)}
        st.dataframe(table, hide_index=True)
    for trait in probe.traits:
        st.markdown(f":small[**{plain(trait.value)}** — {plain(trait.says)}]")


def _rivals(probe: Probe) -> None:
    scores = probe.scores
    assert scores is not None
    st.caption(
        f"{scores.folds} parts, {plain(scores.grouping)}: each is judged by a probe that has not seen it."
    )
    with st.container(horizontal=True):
        st.metric("Right", f"{scores.accuracy:.0%}", border=True, width="content")
        st.metric("Macro F1", f"{scores.macro_f1:.2f}", border=True, width="content")
        st.metric("Always the commonest", f"{scores.majority.accuracy:.0%}", border=True, width="content")
        if scores.handmade is not None:
            st.metric(
                "With hand-made numbers", f"{scores.handmade.accuracy:.0%}", border=True, width="content"
            )
        st.metric("Off in its sureness by", f"{scores.calibration_error:.0%}", border=True, width="content")
