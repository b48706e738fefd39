"""Views of a tag: a card to label, predictions to accept, the quality of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from embedder.core.text import count

from .. import state
from ..cards import facts, piece_row, title_of
from ..catalog import catalog
from ..components import piece_rows, roll_sheet
from ..escaping import plain
from ..job_status import job_error, job_progress
from ..label_queue import label_queues, next_piece
from ..navigation import toast
from .tag_form import tag_form

if TYPE_CHECKING:
    from index import Library, Prediction, Probe, Suggestions, Tag

__all__ = ["label_and_review", "model_quality"]

MAX_LISTED = 300
MAX_BUTTONS = 8
REFRESH_S = 1.5


def label_and_review(library: Library, tag: Tag) -> None:
    """A card to label at the left, predictions at the right."""
    left, right = st.columns([38, 62], gap="medium")
    with left:
        _label(library, tag)
    with right, st.container(key="sheet-predictions", gap="small"):
        _predictions(library, tag)


# -- labels --------------------------------------------------------------------------------------------------


def _label(library: Library, tag: Tag) -> None:
    """The piece whose label helps most, at once; the learning curve when it is ready."""
    labelled = {label.piece_id for label in library.tags.labels(tag.name) if label.piece_id is not None}
    numbers = [piece.id for piece in catalog().pieces]
    if len(labelled) >= len(numbers):
        with st.container(key="sheet-label"):
            st.success("Every piece is labelled.", icon=":material/check:")
        return
    suggestions, running = label_queues().latest(tag.name, tag.labels)
    skipped: set[int] = st.session_state.setdefault(f"skipped-{tag.name}", set())
    number, suggestion = next_piece(numbers, labelled, skipped, suggestions)
    if number is None:
        return
    with st.container(key="sheet-label", gap="small"):
        why = (
            suggestion.why if suggestion else "Suggestions are being computed; this piece is drawn at random"
        )
        st.caption(plain(why[:1].upper() + why[1:]))
        music = state.music(number)
        roll_sheet(
            f"label-{tag.name}",
            music.notes,
            name=title_of(number),
            item=number,
            mode="label",
            facts=facts(music.descriptors),
            link=number,
        )
        likely = suggestion.value if suggestion else None
        _answers(tag, number, likely, suggestion.probability if suggestion else None)
    if running:
        _await_suggestions(tag.name, tag.labels)
    if suggestions is not None:
        _curve(suggestions, tag)


@st.fragment(run_every=REFRESH_S)
def _await_suggestions(tag: str, labels: int) -> None:
    """Show new suggestions when they are ready."""
    _, running = label_queues().latest(tag, labels)
    if not running:
        st.rerun()
    st.caption("New suggestions are being computed.")


def _values(tag: Tag) -> list[str]:
    return [value.value for value in tag.values]


def _answers(tag: Tag, number: int, likely: str | None, probability: float | None) -> None:
    """A button for each value with a number key; of many values the first ones and a list."""
    values = _values(tag) if tag.kind == "facet" else ["yes", "no"]
    shown = values[:MAX_BUTTONS]
    for first in range(0, len(shown), 2):
        with st.container(horizontal=True, gap="small"):
            for place, value in enumerate(shown[first : first + 2], start=first):
                share = (
                    f" :gray[{100 * probability:.0f} %]"
                    if value == likely and probability is not None
                    else ""
                )
                st.button(
                    f"{plain(value)}{share}",
                    key=f"label-{number}-{place}",
                    on_click=_give,
                    args=(tag, number, value),
                    type="primary" if value == likely else "secondary",
                    shortcut=str(place + 1),
                    width="stretch",
                )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Skip",
            key=f"skip-{number}",
            on_click=_skip,
            args=(tag.name, number),
            shortcut="N",
            type="tertiary",
        )
        if tag.kind == "facet":
            st.selectbox(
                "New value",
                values,
                index=None,
                key=f"other-{number}",
                accept_new_options=True,
                width=220,
                placeholder="New value…",
                label_visibility="collapsed",
                on_change=_give_other,
                args=(tag, number),
            )


def _skip(name: str, number: int) -> None:
    st.session_state[f"skipped-{name}"].add(number)


def _give(tag: Tag, number: int, value: str) -> None:
    with state.errors_shown():
        tags = state.library().tags
        if tag.kind == "facet":
            tags.label(tag.name, number, value=value)
        else:
            tags.label(tag.name, number, holds=value == "yes")
        toast(f"{title_of(number)}: {tag.name} {value}.", _undo_last)


def _undo_last() -> None:
    state.library().tags.undo()


def _give_other(tag: Tag, number: int) -> None:
    value = (st.session_state[f"other-{number}"] or "").strip()
    if value:
        _give(tag, number, value)


def _curve(suggestions: Suggestions, tag: Tag) -> None:
    """What labels brought so far, and would bring."""
    if not suggestions.curve:
        if suggestions.says:
            st.caption(plain(suggestions.says))
        return
    now = suggestions.curve[-1]
    with st.container(key="sheet-curve", gap="xsmall"):
        st.subheader("How much more labelling helps")
        share = f"{100 * now.accuracy:.0f} of 100 unseen works"
        text = f"With {count(now.labels, 'label')}, right for about {share}."
        if suggestions.forecast:
            then = suggestions.forecast[-1]
            text += f" With {then.labels}, about {100 * then.accuracy:.0f}."
        st.caption(text)
        points = (*suggestions.curve, *suggestions.forecast)
        st.line_chart(
            {
                "labels": [point.labels for point in points],
                "measured": [
                    *(100 * p.accuracy for p in suggestions.curve),
                    *(None for _ in suggestions.forecast),
                ],
                "expected": [
                    *(None for _ in suggestions.curve),
                    *(100 * p.accuracy for p in suggestions.forecast),
                ],
            },
            x="labels",
            y=["measured", "expected"],
            height=180,
            y_label="right out of 100",
        )


# -- predictions ---------------------------------------------------------------------------------------------


def _predictions(library: Library, tag: Tag) -> None:
    """What the model predicts for pieces without a label: to hear, to accept one by one or in bulk."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Predictions", width="content")
        st.space("stretch")
        _train_button(tag)
    job = state.jobs().last("probe")
    if job is not None and job.running and job.request["tag"] == tag.name:
        return
    if tag.probe == "none":
        st.info("This tag has no model yet. Label some pieces, then train one.", icon=":material/psychology:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        which = st.segmented_control(
            "Pieces",
            {"inside": "Predicted", "outside": "Left untagged"},
            format_func={"inside": "Predicted", "outside": "Left untagged"}.__getitem__,
            default="inside",
            key="which",
            required=True,
            label_visibility="collapsed",
        )
        if which != "outside":
            value = st.selectbox(
                "Value",
                [None, *_values(tag)],
                format_func=lambda v: v or "Any value",
                width=160,
                label_visibility="collapsed",
            )
            percent = st.slider("Confidence of at least, in percent", 0, 100, 80, key="least", width=260)
    if which == "outside":
        _outside(library, tag)
        return
    least = percent / 100
    predictions = library.probes.predictions(tag.name, value=value, min_probability=least, limit=10**7)
    if not predictions:
        st.info(
            f"No prediction has a confidence of {percent} % or more. Lower the limit, or label more pieces.",
            icon=":material/tune:",
        )
        return
    key = f"rows-predictions-{tag.name}"
    piece_rows(
        key,
        {
            "name": f"{tag.name}{value}",
            "mode": "predictions",
            "label": "Predictions",
            "rows": [_row(library, prediction) for prediction in predictions[:MAX_LISTED]],
            "total": len(predictions),
            "queue": True,
        },
        accept=lambda: _accept(tag, _numbers(key, "accept")),
        reject=lambda: _reject(tag, _numbers(key, "reject")),
    )
    more = "" if len(predictions) <= MAX_LISTED else f" The first {MAX_LISTED} are shown."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"Confidence of **{percent} %** or more: **{count(len(predictions), 'piece')}**.{more}",
            width="content",
        )
        st.space("stretch")
        with st.popover(f"Accept all {len(predictions):,}…"):
            st.write(f"{count(len(predictions), 'prediction')} become labels. Undo takes them back.")
            st.button(
                f"Accept all {len(predictions):,}",
                type="primary",
                on_click=_accept_all,
                args=(tag, value, least),
            )
    _why(library, tag, predictions)


def _row(library: Library, prediction: Prediction) -> dict[str, Any]:
    names = catalog()
    row = names.row_of(prediction.piece_id)
    piece = names.pieces[row] if row is not None else library.piece(prediction.piece_id)
    return piece_row(piece.id, piece.descriptors, piece.display) | {
        "value": prediction.value,
        "percent": round(100 * prediction.probability),
        "facts": f"{prediction.value}, {100 * prediction.probability:.0f} %",
    }


def _numbers(key: str, name: str) -> list[int]:
    """Pieces that the browser names; it is not trusted."""
    sent = getattr(st.session_state[key], name, None)
    return (
        [int(number) for number in sent if isinstance(number, int | float)] if isinstance(sent, list) else []
    )


def _why(library: Library, tag: Tag, predictions: Sequence[Prediction]) -> None:
    with st.expander("Why this value?"):
        number = st.selectbox(
            "Piece",
            [prediction.piece_id for prediction in predictions[:MAX_LISTED]],
            index=None,
            format_func=title_of,
            placeholder="Choose a piece",
        )
        if number is not None:
            for line in library.probes.explain(tag.name, number).says:
                st.markdown(plain(line))


def _outside(library: Library, tag: Tag) -> None:
    """Pieces unlike all labelled ones, for which the model's value is not used."""
    predictions = library.probes.predictions(tag.name, out_of_distribution=True, limit=MAX_LISTED)
    if not predictions:
        st.info("No piece was left untagged.", icon=":material/check:")
        return
    more = "The first " if len(predictions) == MAX_LISTED else ""
    st.caption(
        f"{more}{count(len(predictions), 'piece')} unlike all labelled ones, and so left untagged. "
        f"Label some of them, "
        "and the model learns their kind."
    )
    key = f"rows-outside-{tag.name}"
    rows = [_row(library, prediction) for prediction in predictions]
    piece_rows(
        key,
        {
            "name": tag.name,
            "mode": "library",
            "label": "Left untagged",
            "rows": rows,
            "total": len(rows),
            "sort": None,
            "queue": True,
        },
        act=lambda: st.session_state.update(outside=_acted(key)),
    )
    chosen = st.session_state.get("outside") or []
    if chosen:
        tag_form(library, chosen, key="outside")


def _acted(key: str) -> list[int]:
    sent = getattr(st.session_state[key], "act", None)
    ids = sent.get("ids") if isinstance(sent, dict) else None
    return [int(number) for number in ids if isinstance(number, int | float)] if isinstance(ids, list) else []


def _accept(tag: Tag, numbers: list[int]) -> None:
    if numbers:
        with state.errors_shown():
            report = state.library().probes.accept(tag.name, numbers)
            toast(f"{count(report.set, 'prediction')} accepted.", _undo_last)


def _accept_all(tag: Tag, value: str | None, least: float) -> None:
    with state.errors_shown():
        report = state.library().probes.accept(tag.name, None, value=value, min_probability=least)
        toast(f"{count(report.set, 'prediction')} accepted.", _undo_last)


def _reject(tag: Tag, numbers: list[int]) -> None:
    if numbers:
        with state.errors_shown():
            report = state.library().probes.reject(tag.name, numbers)
            toast(f"{count(report.set, 'prediction')} rejected.", _undo_last)


def _train_button(tag: Tag) -> None:
    """Train and apply the model, in the background."""
    job = state.jobs().last("probe")
    if job is not None and job.running:
        if job.request["tag"] == tag.name:
            job_progress("probe")
        else:
            st.caption(f"The model of {plain(job.request['tag'])} is being trained; this one can follow.")
        return
    job_error("probe", tag=tag.name)
    label = "Train the model" if tag.probe == "none" else "Train again"
    if tag.probe == "current":
        st.button(label, icon=":material/psychology:", on_click=_train, args=(tag.name,))
    else:
        st.button(label, type="primary", icon=":material/psychology:", on_click=_train, args=(tag.name,))


def _train(name: str) -> None:
    with state.errors_shown():
        state.jobs().start("probe", tag=name)


# -- quality -------------------------------------------------------------------------------------------------


def model_quality(library: Library, tag: Tag) -> None:
    """Cross-validated scores of the model, beside its baselines."""
    _train_button(tag)
    if tag.probe == "none":
        st.info("This tag has no model yet. Label some pieces, then train one.", icon=":material/psychology:")
        return
    probe = library.probes.show(tag.name)
    for remark in probe.remarks:
        st.caption(plain(remark))
    if probe.scores is None:
        st.info("There are too few labels to measure how good the model is.", icon=":material/straighten:")
        return
    _scores(probe)
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
    with st.expander("Confusion matrix"):
        table: dict[str, list[Any]] = {"labelled": list(probe.classes)}
        table |= {f"as {name}": [row[i] for row in scores.confusion] for i, name in enumerate(probe.classes)}
        st.dataframe(table, hide_index=True)
    for trait in probe.traits:
        st.markdown(f":small[**{plain(trait.value)}**: {plain(trait.says)}]")


def _scores(probe: Probe) -> None:
    scores = probe.scores
    assert scores is not None
    st.caption(
        f"{scores.folds}-fold cross-validation, {plain(scores.grouping)}; works never lie on both sides."
    )
    handmade = getattr(scores, "handmade", None)
    with st.container(horizontal=True):
        st.metric("Accuracy", f"{scores.accuracy:.0%}", border=True, width="content")
        st.metric("Macro F1", f"{scores.macro_f1:.2f}", border=True, width="content")
        st.metric("Majority baseline", f"{scores.majority.accuracy:.0%}", border=True, width="content")
        if handmade is not None:
            st.metric("Hand-crafted features", f"{handmade.accuracy:.0%}", border=True, width="content")
        st.metric("Calibration error", f"{scores.calibration_error:.0%}", border=True, width="content")
