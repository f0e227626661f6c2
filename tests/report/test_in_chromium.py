"""The page in a real browser: it opens without a network or an error, its switches redraw, a problem opens, hostile
text stays text, every colour can be read in light and in dark, and it fits from a telephone to a wall.

`make check-report` installs what it needs; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile_pool
import pytest

import testtime as tt
from testtime.reporting import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium here: make check-report installs one", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make check-report does it")

SIZES = [(320, 640), (390, 844), (768, 1024), (1280, 800), (1920, 1080), (3840, 2160)]
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three pages: two runs of the embedded models, a run over thinking budgets, and one whose texts are attacks."""
    folder = tmp_path_factory.mktemp("runs")
    common: dict[str, Any] = {"dataset": "pocket-math", "max_queries": 8, "out_dir": folder, "temperature": 0.8}
    for model in ("pocket-s", "pocket-m"):
        tt.run(
            model=model,
            run=model,
            splits="easy,medium",
            num_candidates=4,
            policies=["sc_fixed:n=1", "sc_fixed:n=4"],
            **common,
        )
    tt.run(model="pocket-s", run="budgets", splits="easy", decoding="prefix", budgets=[8, 32, 128], num_candidates=2,
           policies=["sc_fixed:n=1"], **common)  # fmt: skip
    hostile_pool.write(folder)
    several = {
        "two": [folder / "pocket-m", folder / "pocket-s"],
        "budgets": [folder / "budgets"],
        "hostile": [folder / "hostile"],
    }
    return {name: write_report(runs, folder / f"{name}.html").path for name, runs in several.items()}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Seen:
    """One page that is open, and what it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, size: tuple[int, int] = (1280, 800), scheme: str = "light") -> None:
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".detail h3")

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *what: object) -> None:
        self.context.close()
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("file:", "blob:"))] == []


@pytest.mark.parametrize("name", ["two", "budgets", "hostile"])
def test_it_opens_without_a_network_and_without_an_error(chromium: Any, pages: dict[str, Path], name: str) -> None:
    with Seen(chromium, pages[name]) as page:
        assert page.locator("#answer .lead").inner_text()
        assert page.locator("figure .mark").count() > 0


def test_the_switch_of_cost_redraws(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        figure = page.locator('figure[data-chart="frontier"]')
        title = figure.locator("svg text.title").first
        seen = set()
        for button in figure.get_by_role("radiogroup", name="Cost").get_by_role("radio").all():
            button.click()
            assert button.get_attribute("aria-checked") == "true"
            seen.add((title.text_content(), figure.locator(".mark").first.get_attribute("transform")))
        assert len({title for title, _ in seen}) >= 3


def test_modelled_costs_are_hollow_and_counted_ones_are_not(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        figure = page.locator('figure[data-chart="frontier"]')
        assert figure.locator(".plot .hollow").count() == 0
        figure.get_by_role("radio", name="seconds").click()
        assert figure.locator(".plot .hollow").count() == figure.locator(".plot .mark").count() > 0


def test_the_switches_of_model_and_split_and_the_legend_redraw(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        figure = page.locator('figure[data-chart="frontier"]')
        every = figure.locator(".plot .mark").count()
        figure.get_by_role("button", name="pocket-s").click()
        one = figure.locator(".plot .mark").count()
        assert 0 < one < every
        figure.get_by_role("radio", name="medium").click()
        assert 0 < figure.locator(".plot .mark").count() <= one
        figure.locator(".legend button").first.click()
        assert figure.locator(".plot .mark").count() < one


def test_everything_is_reached_by_keys(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.get_by_role("radio", name="tokens").focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.textContent") == "candidates"
        page.locator("figure .point[tabindex='0']").first.focus()
        assert page.locator("figure .tip").first.is_visible()
        first = page.locator("figure .tip").first.inner_text()
        page.keyboard.press("ArrowRight")
        assert page.locator("figure .tip").first.inner_text() != first
        page.locator(".list button").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert page.locator(".list button[aria-current='true']").count() == 1
        focused = page.evaluate("document.activeElement.querySelector('b').textContent")
        assert page.locator(".detail h3").inner_text() == focused
        unreached = "e => e.tabIndex < 0 && e.getAttribute('role') !== 'radio'"
        controls = "document.querySelectorAll('button, select, input, summary')"
        assert page.evaluate(f"[...{controls}].filter({unreached}).length") == 0


def test_a_problem_opens_with_its_answers_by_vote_and_its_texts(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        page.locator(".list button").nth(1).click()
        assert page.locator(".list button").nth(1).get_attribute("aria-current") == "true"
        fold = page.locator(".detail .candidate").first
        fold.locator("summary").first.click()
        fold.locator(".thinking").wait_for(state="attached")
        assert not fold.locator(".thinking .words").is_visible(), "and folded"
        assert "boxed" in fold.inner_text()
        assert "Verdict" in fold.inner_text()


def test_filters_keep_what_they_say(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["hostile"]) as page:
        page.locator(".filters").get_by_label("Split").select_option("odd")
        assert page.locator(".list button").count() == hostile_pool.PROBLEMS // 2
        page.locator(".filters").get_by_label("Split").select_option("any")
        page.locator(".filters").get_by_label("failures").check()
        assert page.locator(".list button").count() == 1
        page.locator(".filters").get_by_label("failures").uncheck()
        page.get_by_label("Search problems").fill("onerror")
        assert page.locator(".list button").count() == 1


def test_hostile_text_stays_text_wherever_it_is_shown(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["hostile"]) as page:
        allowed = set(page.evaluate("[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]"))
        for at in range(hostile_pool.PROBLEMS):
            page.locator(".list button").nth(at).click()
            page.evaluate("document.querySelectorAll('.detail details').forEach(fold => { fold.open = true })")
            page.wait_for_timeout(100)
        page.locator(".list button").first.click()
        page.evaluate("document.querySelectorAll('.detail details').forEach(fold => { fold.open = true })")
        page.wait_for_timeout(200)
        assert page.evaluate("window.broken") is None
        now = set(page.evaluate("[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]"))
        assert now - allowed <= {"details", "summary"}, "no element but folds came with the texts"
        assert "</script><script>window.broken = 1</script>" in page.locator(".detail").inner_text()
        assert page.locator(".detail .oracle").count() == 1
        page.locator(".list button").nth(3).click()
        assert "U+202E" in page.locator(".detail").inner_text()
        assert "\u202e" not in page.locator(".detail").inner_text()


def test_tools_talk_and_forced_text_is_marked(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["hostile"]) as page:
        for at, what in ((2, ".forced"), (3, ".turn.call"), (3, ".turn.result")):
            page.locator(".list button").nth(at).click()
            page.evaluate("document.querySelectorAll('.detail .candidate').forEach(fold => { fold.open = true })")
            page.wait_for_timeout(200)
            assert page.locator(f".detail {what}").count() == 1


def test_what_an_oracle_wrote_into_a_thought_is_folded_with_it_and_marked(
    chromium: Any, pages: dict[str, Path]
) -> None:
    with Seen(chromium, pages["hostile"]) as page:
        page.locator(".list button").nth(4).click()
        page.evaluate("document.querySelectorAll('.detail .candidate').forEach(fold => { fold.open = true })")
        page.wait_for_timeout(200)
        fold = page.locator(".detail .candidate", has=page.locator(".oracle"))
        assert fold.locator(".thinking summary").inner_text() == "Thinking, 1 by the oracle"
        assert not fold.locator(".oracle").is_visible()
        fold.locator(".thinking summary").click()
        assert fold.locator(".oracle").is_visible()
        assert fold.locator(".thinking").count() == 1


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}px")
@pytest.mark.parametrize("name", ["two", "budgets", "hostile"])
def test_no_width_scrolls_sideways(chromium: Any, pages: dict[str, Path], name: str, size: tuple[int, int]) -> None:
    with Seen(chromium, pages[name], size) as page:
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        wide = page.evaluate(
            """[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
               && !e.closest('.scroll, svg, .words, .tip')).map(e => e.outerHTML.slice(0, 80))"""
        )
        assert wide == []


CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["two", "budgets", "hostile"])
def test_every_text_and_mark_has_contrast(chromium: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    """WCAG 2 AA: 4.5 for text, 3 for large text and for what a figure draws."""
    with Seen(chromium, pages[name], scheme=scheme) as page:
        page.locator(".list button").first.click()
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        page.wait_for_timeout(300)
        found = page.evaluate(CONTRAST)
        assert len(found) > 100
        assert [one for one in found if one[2] < one[3]] == []


def test_the_theme_can_be_chosen(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"]) as page:
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert page.locator("#theme").inner_text() == "Theme: dark"


def test_a_figure_is_saved_as_it_stands(chromium: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    with Seen(chromium, pages["two"]) as page:
        figure = page.locator('figure[data-chart="frontier"]')
        for name in ("SVG", "CSV"):
            with page.expect_download() as coming:
                figure.get_by_role("button", name=name).click()
            coming.value.save_as(tmp_path / name)
        assert re.search(r"<svg[^>]+xmlns=.*<path[^>]+stroke=\"rgb", (tmp_path / "SVG").read_text(), re.S)
        head, *lines = (tmp_path / "CSV").read_text().splitlines()
        data = json.loads(page.locator("#data").text_content())
        assert len(lines) == sum(len(one["points"]) for one in data["charts"]["frontier"]["series"])
        assert head.startswith('"view","model","series"')


def test_it_prints_in_black_on_white_without_its_switches(chromium: Any, pages: dict[str, Path]) -> None:
    with Seen(chromium, pages["two"], (720, 1020), "dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
        shown = page.locator("figure .controls button:visible")
        on = [
            shown.nth(at).get_attribute(name)
            for at in range(shown.count())
            for name in ("aria-pressed", "aria-checked")
        ]
        assert on.count("true") == shown.count() > 0, "what is drawn is said, with its colours; what could be is not"
        wide = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert wide, "no table is cut off on paper"
        assert len(page.pdf(format="A4")) > 20_000
