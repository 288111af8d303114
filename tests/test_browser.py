"""The report in a headless Chromium: silent, offline, accessible, and answering to who filters, sorts, toggles and plays."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_report import pages_of
from test_report import run as run  # the fixture

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: install chromium to test the pages"),
]
LONGEST = 60_000
"""Milliseconds to wait for what takes one on a quiet machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: make env installs it")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"] if sys.platform == "linux" else [])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, run) -> Iterator:
    """Open a page of the report; at the end nothing was said on the console and nothing asked of elsewhere."""
    contexts, said, asked = [], [], []

    def go(name: str, **settings):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        context.set_default_timeout(LONGEST)
        opened = context.new_page()
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto((run["root"] / name).as_uri())
        return opened

    yield go
    for context in contexts:
        context.close()
    assert said == []
    own = run["root"].as_uri()
    assert [url for url in asked if not url.startswith((own, "data:"))] == []


def shown(opened) -> list[str]:
    """Names of the cells that the table shows, from top to bottom."""
    return [row.inner_text().split("\n")[-1] for row in opened.query_selector_all("tr[data-search]:not([hidden]) th")]


def drawn(opened, name: str):
    """Scroll to curves and wait until they are there."""
    figure = opened.locator(f"figure.curves[data-chart={name}]")
    figure.scroll_into_view_if_needed()
    opened.wait_for_selector(f"figure.curves[data-chart={name}][data-drawn]")
    return figure


def test_the_old_address_arrives_at_the_table_which_filters_and_sorts(visit):
    opened = visit("report.html")
    opened.wait_for_url("**/report/index.html")
    assert sorted(shown(opened)) == ["base", "methods.prox.dt = 0.0625", "plane"]
    output = opened.locator("form.filter output")
    assert output.inner_text() == "3 of 3 cells"
    opened.fill("input[name=words]", "teacher")
    assert shown(opened) == ["plane"]
    assert output.inner_text() == "1 of 3 cells"
    opened.fill("input[name=words]", "")
    opened.select_option("select[name=verdict]", index=1)
    assert 0 < len(shown(opened)) <= 3
    opened.select_option("select[name=verdict]", index=0)
    opened.uncheck("input[name=grouped]")
    heading = opened.locator("th[data-key=e]")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    up = shown(opened)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert shown(opened) == up[::-1]
    values = [float(cell.get_attribute("data-value")) for cell in opened.query_selector_all("tr[data-search] td:nth-child(7)")]
    assert values == sorted(values, reverse=True)
    opened.check("input[name=grouped]")
    assert opened.locator("tr.asked:visible").count() == 1


def test_curves_toggle_zoom_and_change_their_scale(visit):
    opened = visit("report/cells/base.html")
    figure = drawn(opened, "distances")
    chart = figure.locator(".chart")
    visible = "() => document.querySelector('figure[data-chart=distances] .chart').data.filter(t => t.visible !== false).length"
    axis = "() => document.querySelector('figure[data-chart=distances] .chart').layout.yaxis.type"
    before = opened.evaluate(visible)
    figure.get_by_label("prox", exact=True).uncheck()
    opened.wait_for_function(f"({visible})() === {before - 1}")
    assert opened.evaluate(axis) == "log"
    figure.get_by_label("logarithmic", exact=True).uncheck()
    opened.wait_for_function(f"({axis})() === 'linear'")
    figure.locator("select").select_option(label="function gap")
    opened.wait_for_function(f"({axis})() === 'log'")
    range_of = "document.querySelector('figure[data-chart=distances] .chart')._fullLayout.xaxis.range"
    spread = f"() => {{ const r = {range_of}; return r[1] - r[0]; }}"
    whole = opened.evaluate(spread)
    box = chart.bounding_box()
    middle = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + 0.4 * box["width"], middle)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    opened.mouse.up()
    opened.wait_for_function(f"({spread})() < {0.5 * whole}")
    figure.get_by_role("button", name="Whole range").click()
    opened.wait_for_function(f"Math.abs(({spread})() - {whole}) < 1e-9")
    chart.locator(".nsewdrag").first.hover()
    opened.wait_for_function("document.querySelector('figure[data-chart=distances] .hoverlayer').textContent.includes('jko: ')")
    figure.get_by_role("button", name="Show the figure").click()
    figure.locator(".paper img").wait_for(state="visible")
    chart.wait_for(state="hidden")


def test_the_animation_waits_plays_stops_and_steps(visit):
    opened = visit("report/cells/base.html")
    film = opened.locator("figure.film")
    film.scroll_into_view_if_needed()
    slider, still = film.locator("input[type=range]"), film.locator(".still")
    opened.wait_for_timeout(700)  # more than a still takes
    assert slider.input_value() == "0"
    first = still.evaluate("e => e.style.backgroundPosition")
    film.get_by_role("button", name="Play").click()
    opened.wait_for_function("document.querySelector('figure.film input').value > 0")
    film.get_by_role("button", name="Stop").click()
    stopped = slider.input_value()
    opened.wait_for_timeout(700)
    assert slider.input_value() == stopped
    slider.fill("4")
    assert film.locator("output").inner_text() == "t = 0.5"
    assert slider.get_attribute("aria-valuetext") == "t = 0.5"
    assert still.evaluate("e => e.style.backgroundPosition") != first


def test_where_motion_is_to_be_reduced_only_the_slider_moves_stills(visit):
    opened = visit("report/cells/base.html", reduced_motion="reduce")
    film = opened.locator("figure.film")
    assert film.get_by_role("button", name="Play").is_disabled()
    film.locator("input[type=range]").fill("2")
    assert film.locator("output").inner_text() == "t = 0.25"


def test_without_scripts_and_on_paper_there_are_the_figures(visit):
    opened = visit("report/cells/base.html", java_script_enabled=False)
    opened.locator("figure.curves img").first.wait_for(state="visible")
    opened.locator("figure.film .sheet img").wait_for(state="visible")
    printed = visit("report/cells/base.html")
    drawn(printed, "distances")
    picture = printed.locator("figure.curves img").first
    assert picture.get_attribute("loading") == "eager"  # paper does not wait for what the screen hid
    printed.emulate_media(media="print")
    picture.wait_for(state="visible")
    printed.locator(".chart").first.wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "cells/base.html"])
def test_axe_finds_nothing(visit, name, scheme):
    """No violation of any impact, in both colour schemes, with everything drawn."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: make env installs it")
    opened = visit(f"report/{name}", color_scheme=scheme)
    if name != "index.html":
        drawn(opened, "energy")
        drawn(opened, "distances")
    found = axe.Axe().run(opened, options={"preload": False}).response["violations"]  # preloading asks for the style sheet
    assert [(one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found] == []


def test_no_column_of_the_cells_is_cut(visit):
    """On a screen of the usual width the table needs no scrolling, also where all its remarks are long."""
    opened = visit("report/index.html", viewport={"width": 1300, "height": 900})
    long = "still falls: 29% in the second half"
    opened.evaluate(f"document.querySelectorAll('td.n small').forEach(e => e.textContent = '{long}')")
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert opened.evaluate(wide) == 0


def test_pages_fit_a_phone(visit, run):
    for path in [*pages_of(run), run["root"] / "report.html"]:
        opened = visit(str(Path(path).relative_to(run["root"])), viewport={"width": 390, "height": 844})
        if path == run["root"] / "report.html":  # which sends its reader on
            opened.wait_for_url("**/report/index.html")
        opened.wait_for_load_state()
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
