"""The app that `midikin ui` starts: five pages under one navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.app import browse_page, duplicates_page, library_page, search_page, tags_page
from ui.app.auth import check_visitor
from ui.app.navigation import wanted

# A named icon would be fetched from the network.
ICON = (Path(__file__).parent / "frontend" / "icon.svg").read_text(encoding="utf-8")
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 4rem clamp(1rem, 4vw, 4rem); max-width: 90rem;
  margin: 0 auto; }
h1 { font-size: 1.9rem !important; padding: 0.4rem 0 !important; }
h3 { font-size: 1.25rem !important; }
@media (max-width: 640px) { [data-testid="stMainBlockContainer"] { padding: 4rem 0.9rem 3rem; } }
</style>"""
st.set_page_config(page_title="midikin", page_icon=ICON, layout="wide")
st.html(STYLE)
check_visitor()
PAGES = {
    "search": st.Page(
        search_page.page, title="Search", icon=":material/search:", url_path="search", default=True
    ),
    "browse": st.Page(browse_page.page, title="Browse", icon=":material/map:", url_path="browse"),
    "duplicates": st.Page(
        duplicates_page.page, title="Duplicates", icon=":material/content_copy:", url_path="duplicates"
    ),
    "tags": st.Page(tags_page.page, title="Tags", icon=":material/label:", url_path="tags"),
    "library": st.Page(
        library_page.page, title="Library", icon=":material/library_music:", url_path="library"
    ),
}
chosen = st.navigation(list(PAGES.values()), position="top")
road = wanted()
if road is not None:
    st.switch_page(PAGES[road[0]], query_params=road[1])
chosen.run()
