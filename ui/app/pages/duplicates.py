"""The page to decide on: groups of the same music, two pieces at a time, side by side."""

from __future__ import annotations

import streamlit as st

from embedder.core.errors import PieceNotFound
from index import Duplicates, Library
from index.duplicates.records import Member
from ui.cli.output import count

from .. import state
from ..cards import comparison, facts, piece_head
from ..escaping import file_name, plain
from ..job_status import followed
from ..jobs import Job
from .review import Pair, as_decided, pairs_of
from .welcome import empty_here

__all__ = ["page"]

NOTICE_S = 4.0  # until a decision of somebody else is seen
KINDS = {
    "bytes": "the same bytes",
    "notes": "the same notes",
    "edited": "one performance, edited",
    "work": "another performance or arrangement",
    "contains": "one holds the other",
}
VERDICTS = {"duplicate": "a duplicate", "keep": "the same, both stay", "not-same": "not the same"}


def page() -> None:
    """Duplicates."""
    st.title("Duplicates")
    with state.errors_shown():
        library = state.library()
        info = library.info()
        if not info.pieces:
            empty_here()
            return
        job = state.jobs().last("duplicates")
        if job is None or (job.state != "done" and not job.running):
            _begin_here(job)
        elif job.running:
            followed("duplicates")
        else:
            _review(library, job)


# -- looking for them ------------------------------------------------------------------------------


def _begin_here(job: Job | None) -> None:
    if job is not None and job.state == "failed":
        st.error(plain(job.error), icon=":material/error:")
    st.write(
        "Every piece is compared with all that may hold the same music, note by note: copies, edits, other "
        "performances of one work, and pieces inside others. No file is ever touched."
    )
    standing = len(state.library().duplicates.decisions())
    if standing:
        st.caption(f"{count(standing, 'decision')} on record; they stay, and are taken into account.")
    st.selectbox(
        "As loosely as",
        list(KINDS),
        index=3,
        key="loosest",
        format_func=KINDS.__getitem__,
        help="The loosest kind of sameness that is shown",
        width=320,
    )
    st.button("Look for duplicates", type="primary", on_click=_begin, icon=":material/content_copy:")


def _begin() -> None:
    with state.errors_shown():
        state.jobs().start("duplicates", loosest=st.session_state.get("loosest", "work"))


def _again() -> None:
    with state.errors_shown():
        before = state.jobs().last("duplicates")
        state.jobs().start("duplicates", **(before.request if before else {}))


# -- deciding --------------------------------------------------------------------------------------


def _review(library: Library, job: Job) -> None:
    found: Duplicates = job.result
    decided = library.duplicates.decisions()
    pairs = pairs_of(found, decided)
    _bar(library, job, pairs)
    if not pairs:
        st.success("No two pieces of this library hold the same music.", icon=":material/check:")
        return
    open_pairs = [pair for pair in pairs if pair.decision is None]
    pair = _chosen(library, pairs, open_pairs)
    if pair is None:
        st.success("Every pair has been decided.", icon=":material/check:")
        _list(pairs)
        return
    _pair(library, pair, open_pairs)
    _list(pairs)
    _watch(len(decided))


@st.fragment(run_every=NOTICE_S)
def _watch(known: int) -> None:
    """See what others decide meanwhile."""
    if len(state.library().duplicates.decisions()) != known:
        st.rerun()


def _bar(library: Library, job: Job, pairs: list[Pair]) -> None:
    """How far it has come, and the reports."""
    done = sum(pair.decision is not None for pair in pairs)
    if pairs:
        st.progress(done / len(pairs), f"{done:,} of {len(pairs):,} pairs decided")
    found = as_decided(job.result, library.duplicates.decisions())
    with st.container(horizontal=True):
        for label, name, mime, make in (
            ("Report (CSV)", "midikin-duplicates.csv", "text/csv", found.csv),
            ("Report (HTML)", "midikin-duplicates.html", "text/html", found.html),
            ("Script to review", "midikin-duplicates.sh", "text/x-shellscript", found.script),
        ):
            st.download_button(label, make(), name, mime, on_click="ignore", icon=":material/download:")
        st.button(
            "Look again", on_click=_again, icon=":material/refresh:", help="Compare the library as it is now"
        )


def _chosen(library: Library, pairs: list[Pair], open_pairs: list[Pair]) -> Pair | None:
    """The pair of the address; the strongest that is open, if there is none.

    Pieces may have been removed since the pairs were found: then there is nothing left to decide of them.
    """
    named = st.query_params.get("pair", "")
    for pair in [*(pair for pair in pairs if pair.name == named), *open_pairs]:
        try:
            library.piece(pair.keeper.piece_id)
            library.piece(pair.other.piece_id)
        except PieceNotFound:
            continue
        return pair
    return None


def _pair(library: Library, pair: Pair, open_pairs: list[Pair]) -> None:
    group = pair.group
    size = f", group of {len(group.members)}" if len(group.members) > 2 else ""
    st.subheader(f"{KINDS[pair.kind].capitalize()}{size}")
    st.caption(plain(pair.says))
    if pair.decision is not None:
        keeper = ""
        if pair.decision.verdict == "duplicate":
            keeper = ", A stays" if pair.decision.keeper == pair.keeper.sha256 else ", B stays"
        st.info(f"Decided: {VERDICTS[pair.decision.verdict]}{keeper}.", icon=":material/gavel:")
    _buttons(pair, open_pairs)
    left, right = st.columns(2, gap="medium")
    for column, letter, member in ((left, "A", pair.keeper), (right, "B", pair.other)):
        with column, st.container(border=True, gap="xsmall"):
            _member(library, letter, member, suggested=member.piece_id == group.keeper, why=group.reason)
    comparison(library, pair.keeper.piece_id, pair.other.piece_id, key=f"pair-{pair.name}")


def _member(library: Library, letter: str, member: Member, *, suggested: bool, why: str) -> None:
    piece = library.piece(member.piece_id)
    badge = "suggested to stay" if suggested else ""
    title = f"{letter}: {member.title or file_name(member.display)}"
    lines = [facts(piece.descriptors), *([why] if suggested else [])]
    lines += [f"also {other}" for other in member.displays[1:]]
    piece_head(title, member.display, member.piece_id, badge=badge, lines=lines)


def _buttons(pair: Pair, open_pairs: list[Pair]) -> None:
    """What can be decided. The keys work wherever the pointer is."""
    after = _next(pair, open_pairs)
    a, b = pair.keeper.piece_id, pair.other.piece_id
    with st.container(horizontal=True):
        for label, key, arguments in (
            ("Same, A stays", "1", ("duplicate", a)),
            ("Same, B stays", "2", ("duplicate", b)),
            ("Same, both stay", "3", ("keep", None)),
            ("Not the same", "4", ("not-same", None)),
        ):
            st.button(
                label,
                key=f"decide-{arguments[0]}-{'a' if arguments[1] == a else 'b' if arguments[1] else ''}",
                shortcut=key,
                on_click=_decide,
                args=(a, b, *arguments, after),
                type="primary" if label == "Same, A stays" else "secondary",
            )
        if pair.decision is not None:
            st.button(
                "Undo",
                shortcut="U",
                on_click=_undo,
                args=(pair.decision.id, pair.name),
                icon=":material/undo:",
            )
        st.button(
            "Later",
            shortcut="N",
            on_click=_show,
            args=(after,),
            icon=":material/skip_next:",
            disabled=not after,
        )
        last = st.session_state.get("decided", [])
        if last and pair.decision is None:
            st.button("Back to the last one", on_click=_show, args=(last[-1],), icon=":material/arrow_back:")


def _next(pair: Pair, open_pairs: list[Pair]) -> str:
    names = [one.name for one in open_pairs]
    if pair.name in names:
        place = names.index(pair.name)
        names = names[place + 1 :] + names[:place]
    return names[0] if names else ""


def _decide(one: int, other: int, verdict: str, keeper: int | None, after: str) -> None:
    with state.errors_shown():
        state.library().duplicates.decide(one, other, verdict, keeper=keeper)
        st.session_state.setdefault("decided", []).append(f"{one}-{other}")
        st.toast(f"On record: {VERDICTS[verdict]}.", icon=":material/check:")
        _show(after)


def _undo(number: int, name: str) -> None:
    with state.errors_shown():
        state.library().duplicates.undo(number)
        _show(name)


def _show(name: str) -> None:
    if name:
        st.query_params["pair"] = name
    else:
        st.query_params.clear()


def _list(pairs: list[Pair]) -> None:
    """All pairs, to look at or to go to."""
    with st.expander(f"All {len(pairs):,} pairs"):
        names = [pair.name for pair in pairs]
        st.dataframe(
            {
                "A": [pair.keeper.display for pair in pairs],
                "B": [pair.other.display for pair in pairs],
                "how": [KINDS[pair.kind] for pair in pairs],
                "decided": [VERDICTS[pair.decision.verdict] if pair.decision else "" for pair in pairs],
            },
            hide_index=True,
            key="pairs",
            on_select=lambda: _selected(names),
            selection_mode="single-row",
        )


def _selected(names: list[str]) -> None:
    rows = st.session_state["pairs"].selection.rows
    if rows and rows[0] < len(names):
        _show(names[rows[0]])
