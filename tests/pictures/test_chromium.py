"""Displays in a browser: everything can be read, nothing overlaps, nothing is fetched, in light and dark.

The pages carry a policy that forbids every request; what a browser makes of them is measured by a script that is only in
the test's page, and read from what it leaves there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

import lineage as ln
from lineage.pictures.display import html, html_of_run
from picture_pipeline import broken, clean, load, months, pipeline, report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.slow,
]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,3000", "--enable-logging=stderr",
]  # fmt: skip

PAGE = """<!doctype html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<script>const faults = [];
addEventListener("error", event => faults.push("error: " + event.message));
addEventListener("securitypolicyviolation", event => faults.push("fetched: " + event.blockedURI));</script>
</head><body %s>%s<script>
const rect = element => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
const shown = [...document.querySelectorAll("div.lng")].map(display => ({
  paper: getComputedStyle(display).backgroundColor,
  ink: getComputedStyle(display).color,
  box: rect(display),
  boxes: [...display.querySelectorAll("svg .lng-box")].map(box => ({
    rect: rect([...box.querySelectorAll("rect")].find(r => r.getAttribute("class").includes("-fill"))),
    fill: getComputedStyle([...box.querySelectorAll("rect")].find(r => r.getAttribute("class").includes("-fill"))).fill,
    title: box.querySelector("title").textContent,
    texts: [...box.querySelectorAll("text")].map(text => ({
      text: text.textContent, rect: rect(text), fill: getComputedStyle(text).fill})),
  })),
  loose: [...display.querySelectorAll("svg text")].filter(text => !text.closest(".lng-box")).map(text => ({
    text: text.textContent, rect: rect(text), fill: getComputedStyle(text).fill})),
  bars: [...display.querySelectorAll("svg rect")].filter(bar => bar.querySelector("title")).map(rect),
  cells: [...display.querySelectorAll("td, th, p, pre")].filter(cell => cell.offsetParent).map(cell => ({
    text: cell.innerText, color: getComputedStyle(cell).color})),
}));
const requests = performance.getEntriesByType("resource").map(entry => entry.name);
document.body.innerHTML = "<pre id=found></pre>";
document.getElementById("found").textContent = JSON.stringify({faults, requests, shown});
</script></body></html>"""

THEMES = {
    "light": ([], ""),
    "dark system": (["--blink-settings=preferredColorScheme=0"], ""),
    "dark notebook": ([], 'data-jp-theme-light="false"'),
    "light notebook on a dark system": (["--blink-settings=preferredColorScheme=0"], 'data-jp-theme-light="true"'),
}


@pytest.fixture(scope="module")
def displays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Displays of graphs of 5, 50 and 500 calls, of a plan, a dataset and a run."""
    folder = tmp_path_factory.mktemp("displays")
    data = folder / "data"
    with ln.Session(folder / "store"):
        with pytest.raises(ln.LineageError):
            ln.compute(report([1.0], broken(2.0)))
        handle = ln.materialize(clean(load(months(data, 1)[0])))
        five = pipeline(data, 1)
        fifty = pipeline(data, 16, alphas=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8))
        ln.compute(ln.map(clean, ln.map(load, months(data, 240))))
        many = pipeline(data, 246, alphas=(0.1, 0.2, 0.3))
        yield {
            "5 calls": html(five),
            "failed": html(report([1.0], broken(2.0))),
            "50 calls": html(fifty),
            "500 calls": html(many),
            "plan": html(ln.plan(five)),
            "dataset": html(handle),
            "run": html_of_run(3),
        }


@pytest.fixture(scope="module", params=THEMES)
def rendered(
    request: pytest.FixtureRequest, displays: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What Chromium makes of all displays on one page, in a theme."""
    flags, place = THEMES[request.param]
    folder = tmp_path_factory.mktemp("page")
    page = folder / "page.html"
    page.write_text(PAGE % (place, "".join(displays.values())))
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert found, done.stdout[-2000:]
    told = json.loads(unescape(found.group(1)))
    told["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    told["shown"] = dict(zip(displays, told["shown"], strict=True))
    told["dark"] = request.param.startswith("dark")
    return dict(told)


def overlap(one: list[float], other: list[float], by: float = 0.5) -> bool:
    return one[0] + by < other[2] and other[0] + by < one[2] and one[1] + by < other[3] and other[1] + by < one[3]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two CSS colours as WCAG 2 defines it, from 1 to 21."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dim, bright = sorted([light(one), light(other)])
    return (bright + 0.05) / (dim + 0.05)


def test_nothing_is_fetched_and_nothing_goes_wrong(rendered: dict[str, Any]) -> None:
    assert rendered["faults"] == []
    assert rendered["requests"] == []
    assert rendered["console"] == []


def test_the_theme_is_followed(rendered: dict[str, Any]) -> None:
    for display in rendered["shown"].values():
        assert display["paper"] == ("rgb(13, 17, 23)" if rendered["dark"] else "rgb(255, 255, 255)")
        assert contrast(display["paper"], display["ink"]) > 7


@pytest.mark.parametrize("name", ["5 calls", "failed", "50 calls", "500 calls", "plan"])
def test_boxes_lie_beside_one_another_and_hold_their_texts(rendered: dict[str, Any], name: str) -> None:
    boxes = rendered["shown"][name]["boxes"]
    assert boxes
    for number, box in enumerate(boxes):
        assert not any(overlap(box["rect"], other["rect"]) for other in boxes[:number]), box["title"]
        left, top, right, bottom = box["rect"]
        for text in box["texts"]:
            x, y, to_x, to_y = text["rect"]
            assert left < x < to_x <= right, text
            assert top <= y + 2 < to_y - 2 <= bottom, text
        for position, text in enumerate(box["texts"]):
            assert not any(overlap(text["rect"], other["rect"], 2) for other in box["texts"][:position]), text


@pytest.mark.parametrize("name", ["5 calls", "failed", "50 calls", "500 calls", "plan"])
def test_labels_do_not_lie_on_boxes(rendered: dict[str, Any], name: str) -> None:
    display = rendered["shown"][name]
    for label in display["loose"]:
        assert not any(overlap(label["rect"], box["rect"], 2) for box in display["boxes"]), label


def test_every_text_stands_out_from_what_is_behind_it(rendered: dict[str, Any]) -> None:
    for display in rendered["shown"].values():
        for box in display["boxes"]:
            for text in box["texts"]:
                assert contrast(text["fill"], box["fill"]) >= 4.5, (text, box["fill"])
        for text in display["loose"]:
            assert contrast(text["fill"], display["paper"]) >= 4.5, text
        for cell in display["cells"]:
            assert contrast(cell["color"], display["paper"]) >= 4.5, cell


def test_what_is_shown_can_be_read(rendered: dict[str, Any]) -> None:
    def texts(name: str) -> set[str]:
        return {text["text"] for box in rendered["shown"][name]["boxes"] for text in box["texts"]}

    assert {"000.parquet", "load", "clean", "split", "fit", "score", "report", "cached"} <= texts("5 calls")
    assert {"broken", "failed", "would execute"} <= texts("failed")
    assert len(rendered["shown"]["50 calls"]["boxes"]) >= 50
    assert {"clean", "×246", "240 cached, 6 execute"} <= texts("500 calls")
    assert any("would execute" in box["title"] for box in rendered["shown"]["plan"]["boxes"])
    cells = {cell["text"] for cell in rendered["shown"]["dataset"]["cells"]}
    assert {"UA", "carrier\nstring"} <= cells
    assert any("busy" in text["text"] for text in rendered["shown"]["run"]["loose"])
    assert rendered["shown"]["run"]["bars"]
