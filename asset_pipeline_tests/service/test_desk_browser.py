"""The desk in a real browser, as a person uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from asset_pipeline.cli._service import _keys
from asset_pipeline.ledger.api_keys import NewKey, scopes_from
from asset_pipeline.ledger.schema import clips
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.desk_browser import (
    FOCUS,
    NODES,
    PICTURES,
    browser,
    browser_path,
    desk_server,
    wait_for_focus,
)
from asset_pipeline_tests.support.desk_clips import fill_desk

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.xdist_group("desk"),
    pytest.mark.skipif(
        browser_path() is None, reason="there is no chromium; `make system-tools` installs it"
    ),
]

COUNT = 3_000
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Desk:
    """A served desk, and the browser before it."""

    url: str
    context: ServiceContext
    browser: Browser

    def states(self, state: str) -> set[int]:
        """Return the numbers of the clips in a state."""
        query = select(clips.c.clip_id).where(clips.c.review_state == state)
        with self.context.engine.connect() as connection:
            return {int(clip_id, 16) for clip_id in connection.execute(query).scalars()}

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what the outbox and the ledger do meanwhile."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    root = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PROMPTS", "DATA", "CONFIG"):
            (root / name.lower()).mkdir()
            patch.setenv(f"ASSET_PIPELINE_{name}_DIR", str(root / name.lower()))
        patch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
        patch.delenv("REPLICATE_API_TOKEN", raising=False)
        fill_desk(load_settings(), COUNT, pictures=12)
        with desk_server() as (url, context), browser() as started:
            yield Desk(url, context, started)


@pytest.fixture
def page(desk: Desk) -> Generator[Page]:
    with_room = desk.browser.new_context(viewport=WIDE)
    found = with_room.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    found.on("request", lambda request: asked.append(request.url))
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield found
    with_room.close()
    assert not [url for url in asked if not url.startswith(desk.url)]
    # What a test makes fail on its way is told to the console by the browser itself.
    assert not [text for text in wrong if "ERR_FAILED" not in text and "(Conflict)" not in text]


def _open(desk: Desk, page: Page, query: str = "") -> None:
    page.goto(f"{desk.url}/{query}")
    page.wait_for_function(PICTURES, arg=4)
    page.wait_for_function(f"() => {FOCUS} !== undefined")
    page.wait_for_timeout(150)


def _name(number: int) -> str:
    return f"{number:032x}"


def test_only_what_is_on_the_screen_is_in_the_page(desk: Desk, page: Page) -> None:
    """The page stays small wherever one is, and the last clip is reached by one key."""
    _open(desk, page)
    assert page.evaluate(NODES) < 1200
    page.keyboard.press("End")
    wait_for_focus(page, _name(COUNT - 1))
    page.wait_for_timeout(300)
    box = page.locator(".tile.focus").bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= WIDE["height"] - box["height"]
    assert page.evaluate(NODES) < 1200


def test_one_key_decides_and_goes_on(desk: Desk, page: Page) -> None:
    """A approves, R with a digit rejects with its reason, U takes back; the focus follows."""
    _open(desk, page, "?order=oldest&collection=shelf-0")
    first = int(str(page.evaluate(FOCUS)), 16)
    _decide(page, first)
    second = int(str(page.evaluate(FOCUS)), 16)
    _press(page, "r", "document.querySelector('#dialog').open")
    page.get_by_text("Rejecting costs nothing").wait_for()
    page.keyboard.press("2")
    page.wait_for_function(f"() => {FOCUS} !== '{_name(second)}'")
    desk.until(lambda: desk.states("approved") == {first} and desk.states("rejected") == {second})
    assert desk.context.reviews.of_clip(_name(second))[0].reason_code == "artifacts"
    for _ in range(2):
        page.keyboard.press("u")
    desk.until(lambda: not desk.states("approved") | desk.states("rejected"))
    wait_for_focus(page, _name(first))


def test_steps_are_taken_back_one_by_one(desk: Desk, page: Page) -> None:
    """Two verdicts about one clip are two steps back, and the first verdict's reason returns."""
    _open(desk, page, "?order=oldest&collection=shelf-4&kind=image")
    clip_id = str(page.evaluate(FOCUS))
    _press(page, "r", "document.querySelector('#dialog').open")
    page.get_by_text("Rejecting costs nothing").wait_for()
    page.keyboard.press("3")
    page.wait_for_function(f"() => {FOCUS} !== '{clip_id}'")
    page.keyboard.press("ArrowLeft")
    wait_for_focus(page, clip_id)
    _press(page, "a", f"{FOCUS} !== '{clip_id}'")
    desk.until(lambda: len(desk.context.reviews.of_clip(clip_id)) == 2)
    page.wait_for_timeout(200)
    page.keyboard.press("u")
    desk.until(lambda: len(desk.context.reviews.of_clip(clip_id)) == 3)
    page.keyboard.press("u")
    desk.until(lambda: len(desk.context.reviews.of_clip(clip_id)) == 4)
    given = [
        (each.verdict.value, each.reason_code) for each in desk.context.reviews.of_clip(clip_id)
    ]
    assert given == [
        ("undecided", ""),
        ("rejected", "anatomy"),
        ("approved", ""),
        ("rejected", "anatomy"),
    ]


def test_two_quick_presses_hit_one_clip(desk: Desk, page: Page) -> None:
    """Whoever presses twice before the next clip was seen has decided about one."""
    _open(desk, page, "?order=oldest&collection=shelf-1")
    first = int(str(page.evaluate(FOCUS)), 16)
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.get_by_text("Too quick").first.wait_for()
    page.wait_for_timeout(300)
    desk.until(lambda: desk.states("approved") == {first})
    page.keyboard.press("u")
    desk.until(lambda: not desk.states("approved"))


def test_verdicts_by_keys_land_exactly(desk: Desk, page: Page) -> None:
    """Forty keys are forty verdicts about the first forty clips, whatever the network does."""
    _open(desk, page)
    for number in range(40):
        if number == 20:
            # An answer that is lost on its way: the verdict is there, and is not given twice.
            page.route("**/api/v1/reviews", _lose_answer, times=1)
        _decide(page, number)
    desk.until(lambda: desk.states("approved") == set(range(40)))
    given = [each.clip_id for each in desk.context.reviews.listed(None, 1000)]
    assert all(given.count(_name(number)) == 1 for number in range(2, 40))


def _decide(page: Page, number: int) -> None:
    """Press the key that approves when the clip is seen."""
    page.locator(f"#clip-{_name(number)}.focus").wait_for()
    _press(page, "a", f"{FOCUS} !== '{_name(number)}'")


def _press(page: Page, key: str, done: str) -> None:
    """Press a key until it counts: on a slow machine again, as a person does."""
    for _ in range(40):
        page.locator(".tile.focus:not([aria-busy])").wait_for()
        page.wait_for_timeout(90)
        page.keyboard.press(key)
        page.wait_for_timeout(20)
        if page.evaluate(done):
            return
    pytest.fail(f"{key} does nothing")


def _lose_answer(route: Any) -> None:  # noqa: ANN401 -- Playwright's
    route.fetch()
    route.abort()


def test_a_selection_is_decided_at_once_and_undone_at_once(desk: Desk, page: Page) -> None:
    """Keys act on the selection; the focus stays where it is."""
    _open(desk, page, "?order=oldest&collection=shelf-2")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    focus = page.evaluate(FOCUS)
    before = desk.states("approved")
    page.keyboard.press("a")
    desk.until(lambda: len(desk.states("approved") - before) == 6)
    assert page.evaluate(FOCUS) == focus
    page.keyboard.press("Control+z")
    desk.until(lambda: desk.states("approved") == before)


def test_what_others_decide_shows_at_once(desk: Desk, page: Page) -> None:
    """A verdict of somebody else shows without a reload, and moves nothing."""
    _open(desk, page, "?order=oldest&collection=shelf-3")
    page.wait_for_timeout(700)
    clip_id = str(page.locator(".tile").nth(2).get_attribute("id")).removeprefix("clip-")
    focus = page.evaluate(FOCUS)
    found = desk.context.clips.get(clip_id)
    assert found is not None
    from asset_pipeline.ledger.reviews import Decision  # noqa: PLC0415 -- for one test
    from asset_pipeline.ledger.service_schema import Verdict  # noqa: PLC0415 -- as above

    [review] = desk.context.reviews.decide(
        [Decision(clip_id, found.clip.sha256, Verdict.REJECTED)], "somebody"
    )
    page.locator(f"#clip-{clip_id}[data-state=rejected]").wait_for()
    assert page.evaluate(FOCUS) == focus
    desk.context.reviews.undo(review.review_id, "somebody")


def test_a_view_is_its_address(desk: Desk, page: Page) -> None:
    """Filters stand in the address, and the way back works."""
    _open(desk, page)
    page.get_by_label("Kind").select_option("audio")
    page.locator(".tile.audio").first.wait_for()
    assert "kind=audio" in page.url
    assert page.locator(".tile:not(.audio)").count() == 0
    page.keyboard.press("Escape")
    page.go_back()
    page.wait_for_function(PICTURES, arg=4)
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()


def test_a_prompt_is_never_markup(desk: Desk, page: Page) -> None:
    """Text from outside is shown as text."""
    with desk.context.engine.begin() as connection:
        from asset_pipeline.ledger.schema import intents  # noqa: PLC0415 -- for one test

        text = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
        connection.execute(
            intents.update()
            .where(intents.c.intent_id == f"intent{COUNT - 1}")
            .values(prompt_text=text)
        )
    _open(desk, page, f"?clip={_name(COUNT - 1)}")
    page.locator("#panel .text", has_text="onerror").wait_for()
    assert page.title() != "taken"


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", PHONE)], ids=["light-wide", "dark-phone"]
)
def test_a_screen_reader_gets_through(desk: Desk, scheme: Any, size: Any) -> None:  # noqa: ANN401 -- literals
    """Axe finds nothing serious in the grid, the large view and a dialog."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 -- where there is a browser

    # The checker is put into the page by script, which the page's own policy forbids.
    place = desk.browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    page = place.new_page()
    _open(desk, page)
    page.wait_for_timeout(500)
    for key in ("", "r", "Escape", "Enter", "Escape", "?"):
        if key:
            page.keyboard.press(key)
            page.wait_for_timeout(400)
        if key != "Escape":
            found = Axe().run(page).response["violations"]
            serious = [
                (each["id"], [node["html"][:160] for node in each["nodes"][:3]])
                for each in found
                if each["impact"] in {"serious", "critical"}
            ]
            assert not serious, key
    place.close()


def test_people_log_in_with_a_key(desk: Desk) -> None:
    """With a key around the desk asks for one; a session decides, and ends."""
    with _keys() as keys:
        scopes = scopes_from(["read", "review"])
        _, text = keys.create(NewKey("person", scopes, "tests", None, None))
    place = desk.browser.new_context(viewport=WIDE)
    page = place.new_page()
    try:
        page.goto(desk.url)
        page.get_by_label("Your key").fill("ap_wrong_key")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("not known").wait_for()
        page.get_by_label("Your key").fill(text)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_function(PICTURES, arg=4)
        number = int(str(page.evaluate(FOCUS)), 16)
        page.wait_for_timeout(200)
        page.keyboard.press("a")
        desk.until(lambda: number in desk.states("approved"))
        assert desk.context.reviews.listed(None, 1)[0].actor.startswith("key:")
        assert page.locator("#panel").get_by_role("button", name="Another take").is_disabled()
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Your key").wait_for()
    finally:
        place.close()
