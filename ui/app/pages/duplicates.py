"""The duplicates page: groups of the same music, compared, and decided one by one or in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

import streamlit as st

from embedder.core.errors import PieceNotFound
from embedder.core.text import count
from index import Duplicates, Library

from .. import state
from ..cards import comparison, title_of
from ..catalog import catalog
from ..escaping import clock, key_name, plain
from ..job_status import job_progress
from ..jobs import Job
from ..navigation import set_title, toast
from ..visitors import remote, shown_error
from .review import Pair, ReviewGroup, as_decided, groups_of
from .welcome import empty_library

__all__ = ["page"]

REFRESH_S = 4.0  # until decisions of other visitors show
SHOWN_GROUPS = 40  # in the list at the left
KINDS = {
    "bytes": "Same file content",
    "notes": "Same notes",
    "edited": "Same performance, edited",
    "work": "Another performance or arrangement",
    "contains": "One contains the other",
}
VERDICTS = {"duplicate": "a duplicate", "keep": "the same music, all kept", "not-same": "not the same"}
# The script names paths of this computer, so remote visitors are not offered it.
REPORTS = (
    ("Table (CSV)", "csv", "text/csv"),
    ("Page (HTML)", "html", "text/html"),
    ("Script to review", "sh", "text/x-shellscript"),
)
LISTS = {"duplicates": "Duplicates", "versions": "Other versions", "decided": "Decided"}


def page() -> None:
    """Duplicates."""
    with state.errors_shown():
        library = state.library()
        if not library.info().pieces:
            st.title("Duplicates")
            empty_library()
            return
        job = state.jobs().last("duplicates")
        if job is None or (job.state != "done" and not job.running):
            _offer_scan(job)
        elif job.running:
            st.title("Duplicates")
            job_progress("duplicates")
        else:
            _review(library, job)


# -- scanning ------------------------------------------------------------------------------------------------


def _offer_scan(job: Job | None) -> None:
    st.title("Duplicates")
    if job is not None and job.state == "failed":
        st.error(shown_error(job.error), icon=":material/error:")
    with st.container(key="sheet-scan"):
        st.write(
            "midikin compares every piece, note by note, with all that may hold the same music: "
            "copies, edits, other "
            "performances of one work, and pieces inside others. No file is changed."
        )
        decisions = len(state.library().duplicates.decisions())
        if decisions:
            st.caption(f"{count(decisions, 'decision')} made so far are taken into account.")
        st.selectbox(
            "Scan for",
            list(KINDS),
            index=3,
            key="loosest",
            format_func=lambda kind: f"{KINDS[kind]} and stricter" if kind != "bytes" else KINDS[kind],
            width=360,
        )
        st.button("Scan for duplicates", type="primary", on_click=_scan, icon=":material/content_copy:")


def _scan() -> None:
    with state.errors_shown():
        state.jobs().start("duplicates", loosest=st.session_state.get("loosest", "work"))


def _scan_again() -> None:
    with state.errors_shown():
        before = state.jobs().last("duplicates")
        state.jobs().start("duplicates", **(before.request if before else {}))


# -- lists ---------------------------------------------------------------------------------------------------


def _review(library: Library, job: Job) -> None:
    duplicates: Duplicates = job.result
    decisions = library.duplicates.decisions()
    groups = [group for group in groups_of(duplicates, decisions) if _present(library, group)]
    lists = {
        "duplicates": [group for group in groups if not group.decided and not group.versions],
        "versions": [group for group in groups if not group.decided and group.versions],
        "decided": [group for group in groups if group.decided],
    }
    current = _current(groups, lists)
    name = st.query_params.get("list") or (_list_of(current, lists) if current else "duplicates")
    name = name if name in LISTS else "duplicates"
    if current is None or current not in lists[name]:
        current = next(iter(lists[name]), None)
    with st.container(key="page-duplicates", gap="small"):
        _head(library, job, groups, lists, name)
        if not groups:
            st.success("Nothing is there twice: no two pieces hold the same music.", icon=":material/check:")
            return
        left, right = st.columns([22, 78], gap="medium")
        with left:
            _group_list(lists[name], name, current)
        with right:
            if current is None:
                _list_done(lists, name)
            else:
                _group(library, current, lists[name])
        _watch(len(decisions))


def _present(library: Library, group: ReviewGroup) -> bool:
    """Whether all pieces of a group are still in the library."""
    names = catalog()
    return all(names.row_of(member.piece_id) is not None for member in group.group.members)


def _current(groups: Sequence[ReviewGroup], lists: dict[str, list[ReviewGroup]]) -> ReviewGroup | None:
    """The group of the address."""
    named = st.query_params.get("pair", "")
    return next((group for group in groups if any(pair.name == named for pair in group.pairs)), None)


def _list_of(group: ReviewGroup, lists: dict[str, list[ReviewGroup]]) -> str:
    return next((name for name, members in lists.items() if group in members), "duplicates")


@st.fragment(run_every=REFRESH_S)
def _watch(known: int) -> None:
    """Show what other visitors decide."""
    if len(state.library().duplicates.decisions()) != known:
        st.rerun()


def _head(
    library: Library, job: Job, groups: Sequence[ReviewGroup], lists: dict[str, list[ReviewGroup]], name: str
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="tools-duplicates"):
        st.title("Duplicates", width="content")
        st.session_state["list"] = name
        st.segmented_control(
            "List",
            LISTS,
            format_func=lambda key: f"{LISTS[key]} {len(lists[key])}",
            key="list",
            on_change=_list_changed,
            required=True,
            label_visibility="collapsed",
        )
        st.space("stretch")
        if groups:
            done = len(lists["decided"])
            st.progress(done / len(groups), f"{done:,} of {count(len(groups), 'group')} decided", width=200)
        st.button(
            "Scan again", on_click=_scan_again, type="tertiary", help="Compare the library as it is now"
        )
        with st.popover("Report", icon=":material/download:"):
            # Made on click only: each looks at every file again.
            for label, kind, mime in REPORTS if not remote() else REPORTS[:2]:
                st.download_button(
                    label,
                    partial(_report, library, job, kind),
                    f"midikin-duplicates.{kind}",
                    mime,
                    on_click="ignore",
                )


def _report(library: Library, job: Job, kind: str) -> str | bytes:
    """The groups as they are decided now; for remote visitors without the paths of the server."""
    report = as_decided(job.result, library.duplicates.decisions())
    if kind == "sh":
        return report.script()
    root = catalog().root if remote() else None
    return report.csv(root) if kind == "csv" else report.html(root)


def _list_changed() -> None:
    st.query_params.from_dict({"list": st.session_state["list"]})


def _list_done(lists: dict[str, list[ReviewGroup]], name: str) -> None:
    versions_decided = [group.versions for group in lists["decided"]]
    if name != "decided" and (name == "versions") not in versions_decided:
        st.info(f"There are no {LISTS[name].lower()}.", icon=":material/check:")
    elif name == "duplicates":
        versions = len(lists["versions"])
        more = f" {count(versions, 'group')} of other versions wait." if versions else ""
        st.success(f"Every group of duplicates has been decided.{more}", icon=":material/check:")
    elif name == "versions":
        st.success("Every group of other versions has been decided.", icon=":material/check:")
    else:
        st.info("Nothing has been decided yet.", icon=":material/gavel:")


def _group_list(groups: Sequence[ReviewGroup], name: str, current: ReviewGroup | None) -> None:
    same = [group for group in groups if group.kind in ("bytes", "notes")]
    if name == "duplicates" and len(same) > 1:
        with st.container(key="sheetwash-bulk", gap="xsmall"):
            st.markdown(
                f"**{count(len(same), 'group')} hold the same notes.** The suggested keeper is safe for all."
            )
            st.button(f"Preview all {len(same)}…", type="primary", on_click=_preview_asked, args=("same",))
            st.button("More rules…", on_click=_preview_asked, args=("rules",), type="tertiary")
    if st.session_state.get("bulk"):
        _preview(groups, st.session_state.pop("bulk"))
    with st.container(key="sheet-groups", gap=None):
        st.subheader(count(len(groups), "group"))
        for group in groups[:SHOWN_GROUPS]:
            mark = "**" if current is not None and group.name == current.name else ""
            st.button(
                f"{mark}{plain(title_of(group.keeper)[:40])}{mark}  \n"
                f":small[:gray[{count(len(group.group.members), 'copy', 'copies')} · {KINDS[group.kind]}]]",
                key=f"group-{group.name}",
                on_click=_show,
                args=(group.name, name),
                type="tertiary",
                width="stretch",
            )
        if len(groups) > SHOWN_GROUPS:
            st.caption(f"{len(groups) - SHOWN_GROUPS:,} more follow as these are decided.")


# -- many at once --------------------------------------------------------------------------------------------

RULES = {
    "suggested": "Keep what is suggested",
    "longest": "Keep the longest",
    "notes": "Keep the one with most notes",
    "newest": "Keep the one that was added last",
}


def _preview_asked(kind: str) -> None:
    st.session_state["bulk"] = kind


@st.dialog("Decide many groups at once", width="large")
def _preview(groups: Sequence[ReviewGroup], which: str) -> None:
    """What a rule would decide, as a table with the exact count."""
    kinds = [kind for kind in ("bytes", "notes", "edited") if any(group.kind == kind for group in groups)]
    default = [kind for kind in kinds if kind in ("bytes", "notes")] if which == "same" else kinds
    chosen = st.pills(
        "Kinds",
        kinds,
        selection_mode="multi",
        default=default,
        format_func=KINDS.__getitem__,
        key="bulk-kinds",
    )
    rule = st.selectbox("Rule", list(RULES), format_func=RULES.__getitem__, key="bulk-rule")
    folders = sorted({_folder(member.piece_id) for group in groups for member in group.group.members})
    folder = st.selectbox(
        "Only groups with a piece in", [None, *folders], format_func=lambda f: f or "any folder"
    )
    picked = [
        (group, _keeper(group, rule))
        for group in groups
        if group.kind in chosen
        and (folder is None or any(_folder(member.piece_id) == folder for member in group.group.members))
    ]
    marked = sum(len(group.group.members) - 1 for group, _ in picked)
    st.dataframe(
        {
            "keep": [title_of(keeper) for _, keeper in picked],
            "in": [_folder(keeper) for _, keeper in picked],
            "mark as duplicates": [len(group.group.members) - 1 for group, _ in picked],
            "kind": [KINDS[group.kind] for group, _ in picked],
        },
        hide_index=True,
    )
    label = f"Keep {len(picked)}, mark {marked} as duplicates"
    if st.button(label, type="primary", disabled=not picked):
        _decide_many([(group, keeper) for group, keeper in picked])
        st.rerun()
    st.caption("No file is changed. Undo takes all of it back.")


def _folder(number: int) -> str:
    names = catalog()
    row = names.row_of(number)
    return "" if row is None else names.folders[row]


def _keeper(group: ReviewGroup, rule: str) -> int:
    members = group.group.members
    if rule == "longest":
        return max(members, key=lambda member: (member.end_s - member.start_s, -member.piece_id)).piece_id
    if rule == "notes":
        return max(members, key=lambda member: (member.notes, -member.piece_id)).piece_id
    if rule == "newest":
        return max(member.piece_id for member in members)
    return group.keeper


def _decide_many(picked: Sequence[tuple[ReviewGroup, int]]) -> None:
    with state.errors_shown():
        numbers: list[int] = []
        for group, keeper in picked:
            numbers += _record(group.pairs, "duplicate", keeper)
        marked = sum(len(group.group.members) - 1 for group, _ in picked)
        toast(
            f"{count(len(picked), 'group')}: kept {len(picked)}, marked {marked} as duplicates. No "
            f"file was changed.",
            _undo,
            numbers,
            "",
        )


def _record(pairs: Sequence[Pair], verdict: str, keeper: int | None) -> list[int]:
    """Decide pairs; of those without the keeper the piece that is nearer to it is kept over the other."""
    decided = []
    for pair in pairs:
        ids = (pair.keeper.piece_id, pair.other.piece_id)
        keep = None if verdict != "duplicate" else keeper if keeper in ids else ids[0]
        decided.append(state.library().duplicates.decide(*ids, verdict, keeper=keep))
    return decided


def _undo(numbers: Sequence[int], name: str) -> None:
    for number in numbers:
        state.library().duplicates.undo(number)
    _show(name, "")


# -- a group -------------------------------------------------------------------------------------------------


def _group(library: Library, group: ReviewGroup, groups: Sequence[ReviewGroup]) -> None:
    members = sorted(group.group.members, key=lambda member: member.piece_id != group.keeper)
    letters = {member.piece_id: chr(65 + i) if i < 26 else f"#{i + 1}" for i, member in enumerate(members)}
    title = title_of(group.keeper)
    set_title(title, "Duplicates")
    after = _next(group, groups)
    with st.container(key="sheet-group", gap="small"):
        st.subheader(f"{plain(title)}")
        st.caption(
            f"{KINDS[group.kind]}, {count(len(members), 'copy', 'copies')}. {plain(group.pairs[0].says)}."
        )
        decided = {pair.decision.verdict for pair in group.pairs if pair.decision is not None}
        if decided:
            verdicts = ", ".join(sorted(VERDICTS[verdict] for verdict in decided))
            with st.container(horizontal=True, vertical_alignment="center"):
                st.info(f"Decided: {verdicts}.", icon=":material/gavel:")
                undone = [pair.decision.id for pair in group.pairs if pair.decision is not None]
                st.button(
                    "Undo",
                    shortcut="U",
                    on_click=_undo_shown,
                    args=(undone, group.name),
                    icon=":material/undo:",
                )
        _facts(group, members, letters)
        _answers(group, members, after)
        others = [member.piece_id for member in members[1:]]
        other = others[0]
        if len(others) > 1:
            other = st.segmented_control(
                "Compare A with",
                others[:25],
                default=others[0],
                required=True,
                format_func=lambda number: f"{letters[number]}: {title_of(number)[:24]}",
                key=f"beside-{group.name}",
            )
        try:
            comparison(library, members[0].piece_id, other, key=f"pair-{group.name}-{other}")
        except PieceNotFound as error:
            st.info(shown_error(error))
        if not group.versions and group.group.keeper is not None:
            st.markdown(
                f":green-background[**Suggested keeper: A.** "
                f"{plain(group.group.reason[:1].upper() + group.group.reason[1:])}.]"
            )


def _facts(group: ReviewGroup, members: Sequence[object], letters: dict[int, str]) -> None:
    """A table of the copies; what differs from the first is marked."""
    library, rows = state.library(), []
    columns = ("Notes", "Length", "Tempo", "Key", "Velocity", "Title in file")
    for member in members:
        piece = library.piece(member.piece_id)  # type: ignore[attr-defined]
        about = piece.descriptors
        rows.append(
            (
                letters[piece.id],
                catalog().path(piece),
                f"{about.notes:,}",
                clock(about.duration_s),
                f"{about.tempo_bpm:.0f} BPM" if about.tempo_bpm else "none",
                key_name(about.key),
                f"mean {about.velocity_mean:.0f}",
                piece.title or "none",
            )
        )
    cells = []
    for row in rows:
        marked = "".join(
            f"<td class='differs'>≠ {escape(value)}</td>"
            if value != first and row is not rows[0]
            else f"<td>{escape(value)}</td>"
            for value, first in zip(row[2:], rows[0][2:], strict=True)
        )
        cells.append(
            f"<tr><th scope='row'>{escape(row[0])}</th><td class='path'>{escape(row[1])}</td>{marked}</tr>"
        )
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("", "File", *columns))
    st.html(
        f"<div class='facts'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(cells)}</tbody></table></div>"
    )


def _answers(group: ReviewGroup, members: Sequence[object], after: str) -> None:
    """What can be decided. The keys act on the group that is drawn."""
    ids = [member.piece_id for member in members]  # type: ignore[attr-defined]
    rest = len(ids) - 1
    keep = (f"Keep A, mark {rest} as {'a duplicate' if rest == 1 else 'duplicates'}", "duplicate", ids[0])
    both = ("Keep both" if rest == 1 else f"Keep all {len(ids)}", "keep", None)
    if group.versions:
        both = ("Keep all as versions", "keep", None)
    unlike = ("Not duplicates" if not group.versions else "Not the same music", "not-same", None)
    answers = [both, keep, unlike] if group.versions else [keep, both, unlike]
    if rest == 1:
        answers.insert(1 if not group.versions else 2, ("Keep B, mark A as a duplicate", "duplicate", ids[1]))
    with st.container(horizontal=True, key="tools-answers"):
        for place, (label, verdict, keeper) in enumerate(answers):
            st.button(
                label,
                key=f"decide-{group.name}-{verdict}-{keeper or ''}",
                shortcut=str(place + 1),
                on_click=_decide,
                args=(group, verdict, keeper, after),
                type="primary" if not place else "secondary",
            )
        if rest > 1 and not group.versions:
            with st.popover("Keep another"):
                for number in ids[1:26]:
                    st.button(
                        f"Keep {plain(title_of(number))}",
                        key=f"keep-{group.name}-{number}",
                        on_click=_decide,
                        args=(group, "duplicate", number, after),
                    )
        st.button(
            "Later",
            shortcut="N",
            on_click=_show,
            args=(after, ""),
            icon=":material/skip_next:",
            disabled=not after,
            type="tertiary",
        )


def _next(group: ReviewGroup, groups: Sequence[ReviewGroup]) -> str:
    names = [other.name for other in groups]
    if group.name in names:
        place = names.index(group.name)
        names = names[place + 1 :] + names[:place]
    return names[0] if names else ""


def _decide(group: ReviewGroup, verdict: str, keeper: int | None, after: str) -> None:
    with state.errors_shown():
        numbers = _record(group.pairs, verdict, keeper)
        title, rest = title_of(keeper or group.keeper), len(group.group.members) - 1
        done = {
            "duplicate": f"kept 1, marked {rest} as {'a duplicate' if rest == 1 else 'duplicates'}",
            "keep": "all kept",
            "not-same": "not the same music",
        }[verdict]
        toast(f"{title}: {done}. No file was changed.", _undo, numbers, group.name)
        _show(after, st.query_params.get("list", ""))


def _undo_shown(numbers: Sequence[int], name: str) -> None:
    with state.errors_shown():
        _undo(numbers, name)


def _show(name: str, where: str) -> None:
    params = {"pair": name} if name else {}
    if where:
        params["list"] = where
    st.query_params.from_dict(params)
