"""Pages and charts: what is in them, and how a browser shows them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from mtl.pages import charts, render, text
from mtl.pages.page import FOLDER
from tests.pages.browser import Browser

PAGE = """{% extends "base.html" %}{% from "parts.html" import table, frames %}
{% block main %}
<div class="filters" data-for="rows"><label>gold<select data-column="0"></select></label>
<label>text<input type="search"></label><output></output></div>
{{ table(["gold", "number"], rows, "rows", "rows") }}
<div class="charts">{{ pictures }}</div>
{{ frames([("epoch 1", pictures), ("epoch 2", pictures)], "epoch") }}
{% endblock %}"""
TOKENS = ["Ann", "<Smith>", "flew", "to", "New", "York"]


def pictures() -> Markup:
    points = [(x / 10, (x - 40) ** 2 / 100) for x in range(100)]
    series = [charts.Line(f"task {i}", points[i * 9 :], i, i % 4) for i in range(5)]
    bins = [(i / 10, (i + 1) / 10, i, (i + 0.5) / 10, i / 10) for i in range(10)]
    weights = [0.5, -1.0, 0.0, 0.1, float("nan"), 0.9]
    return Markup().join(
        [
            charts.lines(series, title="loss & <score>", x="step", y="nats"),
            charts.heat_map([[0.1, -0.9], [0.5, float("nan")]], ["a", "b"], ["c", "d"], title="m"),
            charts.bars({"one": 1.5, "two": -0.5}, title="bars"),
            charts.reliability(bins, title="confidences"),
            text.spans(TOKENS, [(0, 2, "PER"), (4, 6, "LOC")]),
            text.labelled(TOKENS, ["PROPN", "PROPN", "VERB", "ADP", None, "PROPN"]),
            text.shaded(TOKENS, weights),
        ]
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = FOLDER / "templates" / "base.html"
    assert template.is_file()
    from mtl.pages.page import _environment

    rows = [["B", 10], ["A", 9], ["A", -1.5], ["<script>alert(1)</script>", None]]
    found = _environment().from_string(PAGE).render(title="A & B", rows=rows, pictures=pictures())
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(found, encoding="utf-8")
    return path


def test_pages_name_no_other_file(page: Path) -> None:
    found = page.read_text(encoding="utf-8")
    assert (
        re.findall(r"https?://\S+|url\(|@import|<link(?! rel=\"icon\" href=\"data:)", found) == []
    )
    assert "&lt;script&gt;alert" in found
    assert "<title>A &amp; B</title>" in found


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("base.html")


def test_charts_are_well_formed_and_named() -> None:
    root = ElementTree.fromstring(f"<div>{pictures()}</div>".replace("&nbsp;", " "))
    drawn = [svg for svg in root.iter("svg") if svg.get("role") == "img"]
    assert [svg.get("aria-label") for svg in drawn] == [
        *("loss & <score>", "m", "bars", "confidences")
    ]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=300))
def test_lines_draw_all_finite_values_within_the_chart(values: list[float]) -> None:
    found = charts.lines([charts.Line("a", list(enumerate(values)))], title="t")
    (picture,) = ElementTree.fromstring(f"<div>{found}</div>").iter("figure")
    for circle in picture.iter("circle"):
        assert 0 <= float(circle.get("cx", "nan")) <= 360
        assert 0 <= float(circle.get("cy", "nan")) <= 210


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    high = low + width
    found = charts.ticks(low, high)
    slack = 1e-6 * (abs(low) + width)
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert len(found) <= 7


def test_larger_values_are_higher_and_gaps_stay_open() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, float("nan")), (3.0, 1.0), (4.0, 2.0)]
    found = str(charts.lines([charts.Line("a", points)], title="t"))
    low, high = (float(own) for own in re.findall(r'cy="([\d.]+)"', found)[:2])
    assert high < low
    (path,) = re.findall(r'class="line" d="([^"]+)"', found)
    assert re.sub(r"[^ML]", "", path) == "MLML"


def test_long_lines_keep_their_ends() -> None:
    points = [(float(x), 1.0 if x in (0, 999) else 0.0) for x in range(1000)]
    found = str(charts.lines([charts.Line("a", points)], title="t"))
    titles = re.findall(r"<title>a: (\S+) ", found)
    assert (titles[0], titles[-1]) == ("1.000", "1.000")
    assert len(titles) <= 40


def test_negative_numbers_have_their_own_colour() -> None:
    kind = r'<rect class="(plus|minus)"'
    assert re.findall(kind, str(charts.bars({"a": 1.0, "b": -1.0}, title="t"))) == ["plus", "minus"]
    found = str(charts.heat_map([[0.5, -1.0]], None, None, title="t"))
    assert re.findall(kind, found) == ["plus", "minus"]
    assert re.findall(r"--s:([\d.]+)", found) == ["0.50", "1.00"]


def test_the_largest_weight_has_the_strongest_shade() -> None:
    found = str(text.shaded(["a", "b", "c"], [0.5, -2.0, 0.0]))
    assert '<span class="weight plus" style="--s:0.25" title="0.5">a</span>' in found
    assert '<span class="weight minus" style="--s:1.00" title="-2">b</span>' in found
    assert '<span title="0">c</span>' in found


@pytest.mark.parametrize("marks", [[(0, 2, "A"), (1, 3, "B")], [(1, 1, "A")], [(5, 7, "A")]])
def test_impossible_spans_are_errors(marks: list[tuple[int, int, str]]) -> None:
    with pytest.raises(ValueError, match="do not overlap"):
        text.spans(TOKENS, marks)


def test_the_browser_shows_the_page_without_messages(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.console() == []
    assert browser.run("return document.querySelectorAll('svg.chart, svg.map').length") == 12


def test_filters_hide_rows_and_count_them(browser: Browser, page: Path) -> None:
    browser.open(page)
    choose = "const s = document.querySelector('select'); s.value = 'A';"
    browser.run(choose + "s.dispatchEvent(new Event('input'));")
    shown = "return [...document.querySelectorAll('#rows tbody tr')].map(r => r.hidden)"
    assert browser.run(shown) == [True, False, False, True]
    assert browser.run("return document.querySelector('output').textContent") == "2 of 4 rows"


def test_a_click_on_a_header_sorts_numbers(browser: Browser, page: Path) -> None:
    browser.open(page)
    cells = (
        "return [...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[1].textContent)"
    )
    click = "document.querySelectorAll('#rows thead button')[1].click();"
    assert browser.run(click + cells) == ["-1.5", "9", "10", "–"]


def test_sliders_show_one_picture(browser: Browser, page: Path) -> None:
    browser.open(page)
    shown = "return [...document.querySelectorAll('[data-frame]')].map(f => f.hidden)"
    assert browser.run(shown) == [True, False]
    move = "const s = document.querySelector('.frames input'); s.value = 0;"
    assert browser.run(f"{move} s.dispatchEvent(new Event('input')); {shown}") == [False, True]


@pytest.mark.parametrize("width", [360, 1200])
def test_only_boxes_scroll_sideways(browser: Browser, page: Path, width: int) -> None:
    browser.window(width)
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_contrast(browser: Browser, page: Path, dark: bool) -> None:
    browser.media(dark=dark)
    browser.open(page)
    script = """
      const style = getComputedStyle(document.body);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim();
        const parts = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
        const [r, g, b] = parts.map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const numbered = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => "c" + i);
      const names = ["ink", "faint", "accent", "good", "bad", ...numbered];
      const ground = light("--surface");
      return names.map((name) => {
        const own = light("--" + name);
        return (Math.max(own, ground) + .05) / (Math.min(own, ground) + .05);
      });
    """
    # The least contrast of text in the Web Content Accessibility Guidelines, level AA.
    assert min(browser.run(script)) >= 4.5
