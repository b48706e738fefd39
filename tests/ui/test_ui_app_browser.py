"""The paths that a visitor takes, in a real browser: Playwright drives a headless Chromium.

Skipped, with the reason, where the machine has no Chromium; continuous integration installs one.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedder.midi.writing import write_midi
from index import Library
from tests.support.chromium import FLAGS, MISSING, chromium_of
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes
from ui.app import launch

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FAKE_SCRIPT = str(Path(__file__).with_name("app_with_fake_encoder.py"))
WAIT_MS = 60_000

# How loud what was scheduled is, and which of some pitches it holds most of.
LISTEN = """
() => {
  const blocks = window.midikin.player.blocks;
  const x = Float32Array.from(blocks.flatMap((block) => [...block.left]));
  let sum = 0;
  for (const v of x) sum += v * v;
  const power = (pitch) => {
    const w = 2 * Math.PI * 440 * 2 ** ((pitch - 69) / 12) / 32000;
    let re = 0, im = 0;
    for (let i = 1000; i < Math.min(x.length, 13000); i++) {
      re += x[i] * Math.cos(w * i);
      im += x[i] * Math.sin(w * i);
    }
    return re * re + im * im;
  };
  let best = 40;
  for (let p = 40; p < 90; p++) if (power(p) > power(best)) best = p;
  let gap = 0;
  for (let i = 1; i < blocks.length; i++) {
    gap = Math.max(gap, Math.abs(blocks[i].at - blocks[i - 1].at - blocks[i - 1].left.length / 32000));
  }
  return { rms: Math.sqrt(sum / x.length), seconds: x.length / 32000, pitch: best, gap };
}
"""


# What Streamlit's documentation asks for.
SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "known to tests alone, and long enough"
client_id = "midikin"
client_secret = "any"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        found = chromium_of(driver)
        if found is None:
            pytest.skip(MISSING)
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class App:
    """The app as a process of its own, with the tests' encoder or the real one, perhaps behind a login."""

    def __init__(
        self, library: Path, home: Path, *, fake: bool, provider: str = "", login: tuple[str, ...] = ()
    ) -> None:
        port = launch.free_port("127.0.0.1", None)
        launching = launch.Launch("127.0.0.1", port, library=str(library), login=login)
        command = launching.command()
        if provider:
            (home / ".streamlit").mkdir()
            (home / ".streamlit" / "secrets.toml").write_text(
                SECRETS.format(port=port, provider=provider), encoding="utf-8"
            )
        if fake:
            command = [FAKE_SCRIPT if part.endswith("asgi.py") else part for part in command]
        environment = launching.environment() | {"HOME": str(home), "OMP_NUM_THREADS": "1"}
        self.log = home / "app.log"
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5).close()
                return
            except (urllib.error.URLError, TimeoutError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    pytest.fail(f"the app did not start: {self.log.read_text()}")
                time.sleep(0.1)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app on a library of nine tunes, two of which are copies."""
    home = tmp_path_factory.mktemp("home")
    write_tunes(home / "music", 9)
    write_midi(tune(2).stretch(1.2), home / "music" / "slower.mid")
    with Library.open(home / "library", encoder=FakeEncoder()) as library:  # type: ignore[arg-type]
        library.add(home / "music", workers=1)
    app = App(home / "library", home, fake=True)
    yield app
    app.close()


@pytest.fixture
def page(chromium: object, request: pytest.FixtureRequest) -> Iterator[object]:
    """A page of a new visitor; whatever it asks of another machine, or complains of, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda sent: (
            None
            if sent.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
            else wrong.append(f"asked for {sent.url}")
        ),
    )
    yield page
    context.close()
    assert not wrong


def settled(page: object) -> None:
    """Wait until the page has been drawn and nothing runs."""
    page.wait_for_selector("h1")  # type: ignore[attr-defined]
    page.wait_for_function(  # type: ignore[attr-defined]
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'running'"
        " && !document.querySelector('[data-testid=stSkeleton]')"
    )


def heard(page: object, key: object | None = None) -> dict[str, float]:
    """What was scheduled to sound, once something plays (the piece of this key)."""
    page.wait_for_function(  # type: ignore[attr-defined]
        "(key) => window.midikin?.player?.playing && window.midikin.player.blocks.length > 1"
        " && (key === null || window.midikin.state.key === key)",
        arg=key,
    )
    return page.evaluate(LISTEN)  # type: ignore[attr-defined,no-any-return]


def rows_of(page: object) -> object:
    """The rows of results."""
    rows = page.locator(".midikin.rows .hit[data-row]")  # type: ignore[attr-defined]
    rows.first.wait_for()
    return rows


def test_first_visit_adding_a_folder_and_searching(chromium: object, page: object, tmp_path: Path) -> None:
    """With the real encoder, from an empty library to the first results."""
    write_tunes(tmp_path / "music", 3)
    app = App(tmp_path / "library", tmp_path, fake=False)
    try:
        page.goto(app.url)
        page.get_by_text("This library is empty").wait_for()
        page.get_by_role("button", name="Try the demonstration").wait_for()
        page.get_by_role("button", name="Play A tune you know").click()
        assert heard(page)["rms"] > 0.01
        page.get_by_label("A folder on the computer").fill(str(tmp_path / "nowhere"))
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_text("no such file or folder").wait_for()
        page.get_by_label("A folder on the computer").fill(str(tmp_path / "music"))
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("button", name="Any piece").click(timeout=180_000)
        assert rows_of(page).count() == 2
    finally:
        app.close()


def test_results_play_open_and_lead_on(stocked: App, page: object) -> None:
    page.goto(f"{stocked.url}/?piece=1")
    rows = rows_of(page)
    assert rows.count() == 9
    page.locator(".midikin.sheet .pp").click()
    sound = heard(page, 1)
    assert sound["rms"] > 0.01
    assert sound["gap"] < 0.005
    assert page.evaluate("midikin.player.blocks[0].position >= midikin.player.notes.start - 0.05")
    first = rows.first
    name = first.locator(".tt").inner_text()
    first.locator(".pp").click()
    page.wait_for_function("(name) => window.midikin.player.item?.title === name", arg=name)
    assert heard(page)["rms"] > 0.01
    page.get_by_text("Queue, 1 of 9").wait_for()
    before = page.evaluate("midikin.player.now()")
    page.wait_for_timeout(700)
    assert page.evaluate("midikin.player.now()") > before
    first.get_by_role("button", name="Open this row").click()
    page.locator(".midikin.rows .open canvas").wait_for()
    page.get_by_role("button", name="Query, then this").click()
    page.get_by_text("Queue, 1 of 2").wait_for()
    page.locator(".midikin.rows .open").get_by_role("button", name="Find similar").click()
    page.locator(".midikin.sheet .name", has_text=name).wait_for()
    assert "piece=1" not in page.url.split("?")[1].split("&")
    page.get_by_role("button", name="Back to").click()
    page.wait_for_url("**piece=1**")


def test_music_goes_on_while_pages_change(stocked: App, page: object) -> None:
    page.goto(f"{stocked.url}/?piece=1")
    rows_of(page)
    page.locator(".midikin.sheet .pp").click()
    heard(page, 1)
    page.get_by_role("button", name="Loop the chosen range").click()  # so that it does not end meanwhile
    page.wait_for_function("midikin.player.loop !== null")
    for place in ("Library", "Tags", "Map", "Search"):
        page.get_by_role("navigation", name="Places").first.get_by_role("link", name=place).click()
        page.wait_for_function(f"document.title.includes('{place}')")
        assert page.evaluate("midikin.player.playing")
    page.keyboard.press("l")
    page.wait_for_function("midikin.player.loop === null")
    page.keyboard.press("m")
    page.wait_for_function("midikin.player.silent.length === midikin.player.notes.parts.length")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()


def test_pieces_are_found_while_typing(stocked: App, page: object) -> None:
    page.goto(stocked.url)
    settled(page)
    page.keyboard.press("/")
    page.keyboard.type("PART1 tune")
    page.get_by_role("option").first.wait_for()
    assert page.get_by_role("option").count() == 3
    page.keyboard.press("ArrowDown")
    name = page.get_by_role("option").nth(1).locator(".t").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/piece?id=**")
    page.get_by_role("heading", name=name).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("no such thing")
    page.get_by_text("No piece is called anything like").wait_for()


def test_what_sounds_is_the_music(stocked: App, page: object, tmp_path: Path) -> None:
    """An upload of one long A: the samples hold 440 Hz."""
    from embedder.notes import Notes

    write_midi(Notes([0.0, 1.0], [1.0, 1.0], [69, 69], [90, 90]), tmp_path / "a.mid")
    page.goto(stocked.url)
    page.get_by_text("A file of mine", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "a.mid")
    page.wait_for_url("**upload=**")
    rows_of(page)
    page.locator(".midikin.sheet .pp").click()
    assert heard(page)["pitch"] == 69


def test_a_file_dropped_anywhere_is_searched(stocked: App, page: object, tmp_path: Path) -> None:
    write_midi(tune(4).transpose(1), tmp_path / "mine.mid")
    data = base64.b64encode((tmp_path / "mine.mid").read_bytes()).decode()
    page.goto(f"{stocked.url}/library")
    rows_of(page)
    page.evaluate(
        """(data) => {
          const files = new DataTransfer();
          files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "mine.mid"));
          const options = { dataTransfer: files, bubbles: true, composed: true };
          document.body.dispatchEvent(new DragEvent("drop", options));
        }""",
        data,
    )
    page.wait_for_url("**upload=**")
    rows_of(page)


def test_upload_results_and_a_reload_that_keeps_the_view(stocked: App, page: object, tmp_path: Path) -> None:
    write_midi(tune(4).transpose(1), tmp_path / "mine.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd and then nothing")
    page.goto(stocked.url)
    page.get_by_text("A file of mine", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "bad.mid")
    page.get_by_text("bad.mid: ").first.wait_for()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.mid")
    page.wait_for_url("**upload=**")
    rows_of(page)
    page.get_by_text("Same music", exact=True).click()
    page.wait_for_url("**way=music**")
    page.get_by_text("Confidence", exact=True).first.wait_for()
    shown = page.locator(".midikin.rows .tt").all_inner_texts()
    page.reload()
    page.get_by_text("Confidence", exact=True).first.wait_for()
    assert page.locator(".midikin.rows .tt").all_inner_texts() == shown
    assert shown[0] == "tune004"


def test_a_passage_is_chosen_on_the_roll(stocked: App, page: object) -> None:
    page.goto(f"{stocked.url}/?piece=1")
    rows_of(page)
    canvas = page.locator(".midikin.sheet canvas").first
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 30, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=**")
    page.get_by_role("button", name="Use the whole piece").wait_for()
    rows_of(page)
    page.get_by_role("button", name="Use the whole piece").click()
    page.wait_for_function("!location.search.includes('from=')")


def test_played_on_the_on_screen_keyboard(stocked: App, page: object) -> None:
    page.goto(stocked.url)
    page.get_by_text("Something I play", exact=True).click()
    keys = page.locator(".midikin.keyboard .keys button")
    keys.first.wait_for()
    keys.first.focus()
    for letter in "asdfghjkasdf":
        page.keyboard.press(letter, delay=30)
    page.get_by_text("12 notes played").wait_for()
    page.get_by_role("button", name="Search with this").click()
    page.wait_for_url("**played=**")
    page.get_by_text("What you played").first.wait_for()
    rows_of(page)
    url = page.url
    page.goto("about:blank")
    page.goto(url)
    page.get_by_text("What you played").first.wait_for()


# A MIDI keyboard of one input, that plays what it is told to.
MIDI_KEYBOARD = """
window.midiInput = { name: "Test keys", onmidimessage: null };
const access = { inputs: new Map([["1", window.midiInput]]), onstatechange: null };
navigator.requestMIDIAccess = async () => access;
"""
PLAY_MIDI = """
async (pitches) => {
  const rest = () => new Promise((done) => setTimeout(done, 30));
  for (const pitch of pitches) {
    window.midiInput.onmidimessage({ data: [0x90, pitch, 100] });
    await rest();
    window.midiInput.onmidimessage({ data: pitch % 2 ? [0x80, pitch, 0] : [0x90, pitch, 0] });
  }
}
"""


def test_played_on_a_midi_keyboard_and_on_the_keys_of_the_page(stocked: App, page: object) -> None:
    page.add_init_script(MIDI_KEYBOARD)
    page.goto(stocked.url)
    page.get_by_text("Something I play", exact=True).click()
    page.get_by_role("button", name="Connect a MIDI keyboard").click()
    page.get_by_text("Listening to Test keys.").wait_for()
    page.evaluate(PLAY_MIDI, [60, 64, 67, 72, 67, 64, 61, 65])
    page.get_by_text("8 notes played").wait_for()
    page.get_by_role("button", name="C5").click()
    page.get_by_text("9 notes played").wait_for()
    page.get_by_role("button", name="Play back").click()
    assert heard(page, "keyboard")["rms"] > 0.005
    page.get_by_role("button", name="Search with this").click()
    page.wait_for_url("**played=**")
    page.get_by_text("· 9 notes").first.wait_for()


def test_a_browser_without_midi_says_so(stocked: App, page: object) -> None:
    page.add_init_script("delete Navigator.prototype.requestMIDIAccess")
    page.goto(stocked.url)
    page.get_by_text("Something I play", exact=True).click()
    page.get_by_role("button", name="Connect a MIDI keyboard").click()
    page.get_by_text("This browser has no Web MIDI").wait_for()


def test_a_duplicate_is_reviewed_and_another_visitor_sees_it(
    stocked: App, page: object, chromium: object
) -> None:
    page.goto(f"{stocked.url}/duplicates")
    page.get_by_role("button", name="Scan for duplicates").click()
    page.get_by_text("0 of 1 group decided").wait_for()
    settled(page)
    other = chromium.new_page()
    other.set_default_timeout(WAIT_MS)
    other.goto(f"{stocked.url}/duplicates")
    other.get_by_text("0 of 1 group decided").wait_for()
    pair = page.locator(".midikin.pair")
    pair.get_by_role("button", name="Play ten seconds of A").click()
    sound = heard(page)
    assert sound["rms"] > 0.01
    assert sound["seconds"] < 12
    page.locator("h1").first.click()
    page.keyboard.press("1")
    page.get_by_text("1 of 1 group decided").wait_for()
    other.get_by_text("1 of 1 group decided").wait_for(timeout=30_000)
    with Library.open(stocked.log.parent / "library", create=False) as library:
        assert [one.verdict for one in library.duplicates.decisions()] == ["duplicate"]
    page.get_by_role("button", name="Undo").first.click()
    page.get_by_text("0 of 1 group decided").wait_for()
    other.close()


def test_a_point_of_the_map_is_opened_and_a_region_is_chosen_and_tagged(stocked: App, page: object) -> None:
    page.goto(f"{stocked.url}/browse")
    page.wait_for_url("**/map**")
    canvas = page.locator(".midikin.map canvas")
    canvas.wait_for()
    settled(page)
    page.wait_for_function("document.querySelector('[data-testid=stApp]') && window.midikinPoints")
    canvas.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**piece=**")
    page.get_by_text("Nearest").wait_for()
    settled(page)
    page.get_by_role("button", name="Draw around pieces to choose them").click()
    box = canvas.bounding_box()
    x, y, w, h = box["x"], box["y"], box["width"], box["height"]
    assert w >= 1270
    page.mouse.move(x + 430, y + 3)
    page.mouse.down()
    for to_x, to_y in ((w - 3, 3), (w - 3, h - 3), (3, h - 3), (3, h / 2), (3, 5)):
        page.mouse.move(x + to_x, y + to_y, steps=3)
    page.mouse.up()
    page.get_by_text("10 pieces chosen").wait_for()
    page.get_by_label("Tag these 10 pieces").fill("walk")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_text("10 pieces tagged").wait_for()
    with Library.open(stocked.log.parent / "library", create=False) as library:
        assert len(library.tags.labels("walk")) == 10


def test_a_tag_is_labelled_learnt_and_accepted(stocked: App, page: object) -> None:
    with Library.open(stocked.log.parent / "library", create=False, encoder=FakeEncoder()) as library:
        for number in range(1, 5):
            library.tags.label("half", number, holds=number % 2 == 0)
    page.goto(f"{stocked.url}/tags?tag=half")
    settled(page)
    page.locator(".midikin.sheet .pp").click()
    assert heard(page)["rms"] > 0.005
    page.locator(".st-key-sheet-label").get_by_role("button", name="yes").click()
    page.get_by_text("half yes").wait_for()
    page.get_by_role("button", name="Train the model").click()
    page.get_by_role("button", name="Train again").wait_for()
    slider = page.get_by_role("slider", name="Confidence").first
    slider.focus()
    slider.press("Home")
    page.get_by_text("Confidence of 0 % or more").wait_for()
    many = page.locator(".midikin.rows .hit[data-row]").count()
    assert many >= 1
    page.get_by_role("button", name="Accept all").click()
    page.get_by_role("button", name=f"Accept all {many}", exact=True).click()
    page.get_by_text("accepted.").wait_for()
    with Library.open(stocked.log.parent / "library", create=False) as library:
        assert len(library.tags.labels("half")) == 5 + many


def test_selected_pieces_become_a_collection(stocked: App, page: object) -> None:
    page.goto(f"{stocked.url}/library")
    rows_of(page)
    for number in range(2):
        page.locator(".midikin.rows .hit[data-row] input").nth(number).check()
    page.get_by_text("2 selected").wait_for()
    page.get_by_role("button", name="Add to collection").click()
    box = page.get_by_role("dialog").get_by_role("combobox")
    box.fill("Evening")
    box.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("Evening: 2 pieces added.").wait_for()
    page.goto(f"{stocked.url}/library?collection=Evening")
    assert rows_of(page).count() == 2


@pytest.mark.parametrize(("size", "scheme"), [((390, 844), "dark"), ((1280, 800), "light")])
def test_every_page_fits_a_phone_and_a_laptop(
    stocked: App, chromium: object, size: tuple[int, int], scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    for path in ("/?piece=1", "/map?piece=1", "/piece?id=1", "/duplicates", "/tags", "/library", "/welcome"):
        page.goto(stocked.url + path)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.locator("[data-testid=stException]").count() == 0
        background = page.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        brightness = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")[:3])) / 3
        assert (brightness < 80) == (scheme == "dark")
    context.close()


def test_every_control_has_a_name_and_can_be_focused(stocked: App, page: object) -> None:
    for path in ("/map?piece=1", "/piece?id=1", "/?piece=1&k=2"):
        page.goto(stocked.url + path)
        settled(page)
        page.locator(".midikin canvas[tabindex='0']").first.wait_for()
        unnamed = page.evaluate(
            "[...document.querySelectorAll('.midikin button, .midikin canvas')].filter(e => !e.hidden &&"
            " e.getAttribute('aria-hidden') !== 'true' && !(e.ariaLabel || e.textContent)).length"
        )
        assert unnamed == 0
        canvas = page.locator(".midikin canvas[tabindex='0']").first
        canvas.focus()
        assert canvas.evaluate("(e) => e.getRootNode().activeElement === e")
    canvas = page.locator(".midikin.sheet canvas").first
    canvas.focus()
    page.keyboard.press("Space")
    assert heard(page, 1)["rms"] > 0.01


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """An OpenID provider that believes whoever says who they are."""
    pytest.importorskip("authlib", reason="authlib is not installed: pip install -e '.[test]'")
    port = launch.free_port("127.0.0.1", None)
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "provider.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"no provider: {(tmp_path / 'provider.log').read_text()}")
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_only_those_let_in_come_past_the_login(chromium: object, provider: str, tmp_path: Path) -> None:
    write_tunes(tmp_path / "music", 3)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:  # type: ignore[arg-type]
        library.add(tmp_path / "music", workers=1)
    app = App(tmp_path / "library", tmp_path, fake=True, provider=provider, login=("*@music.example",))
    try:
        for address, enters in (("eve@elsewhere.example", False), ("ann@music.example", True)):
            context = chromium.new_context()  # type: ignore[attr-defined]
            visitor = context.new_page()
            visitor.set_default_timeout(WAIT_MS)
            visitor.goto(f"{app.url}/?piece=1")
            visitor.get_by_role("button", name="Log in").click()
            visitor.wait_for_url(f"{provider}/**")
            visitor.locator("input[name=sub]").fill(address)
            visitor.locator("input[name=sub]").press("Enter")
            visitor.wait_for_url(f"{app.url}/**")
            if enters:
                visitor.get_by_role("heading", name="Search").wait_for()
                visitor.goto(f"{app.url}/search?piece=1")  # also the address by the page's name
                rows_of(visitor)
            else:
                visitor.get_by_text("elsewhere.example may not use this library").wait_for()
                visitor.get_by_role("button", name="Log out").wait_for()
                assert not visitor.get_by_text("Search").count()
            context.close()
    finally:
        app.close()
