"""The app that `midikin ui` starts: a frame, and seven pages under it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.app.auth import check_visitor
from ui.app.components import PAGE_STYLE
from ui.app.frame import draw_frame
from ui.app.navigation import pending, set_title
from ui.app.pages import duplicates, library, map, piece, search, tags, welcome

# A named icon would be fetched from the network.
ICON = (Path(__file__).parent.parent / "frontend" / "icon.svg").read_text(encoding="utf-8")
st.set_page_config(page_icon=ICON, layout="wide")
st.html(f"<style>{PAGE_STYLE}</style>")
check_visitor()
PAGES = {
    "search": st.Page(search.page, title="Search – midikin", default=True),
    "piece": st.Page(piece.page, title="Piece – midikin", url_path="piece"),
    "map": st.Page(map.page, title="Map – midikin", url_path="map"),
    "duplicates": st.Page(duplicates.page, title="Duplicates – midikin", url_path="duplicates"),
    "tags": st.Page(tags.page, title="Tags – midikin", url_path="tags"),
    "library": st.Page(library.page, title="Library – midikin", url_path="library"),
    "welcome": st.Page(welcome.page, title="midikin", url_path="welcome"),
    "asked": st.Page(search.moved_page, title="Search – midikin", url_path="search"),
    "browse": st.Page(map.moved_page, title="Map – midikin", url_path="browse"),  # its address until 0.9
}
chosen = st.navigation(list(PAGES.values()), position="hidden")
target = pending()
if target is not None:
    st.switch_page(PAGES[target[0]], query_params=target[1])
place = chosen.url_path or "search"
set_title("" if place == "welcome" else place.capitalize())  # pages may say more
draw_frame(place)
chosen.run()
