"""The report in a real browser, and as a command."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from analysis import report
from raynas.recording.answers import Answering, write_answers, write_mistakes
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.reporting.run_status import progress
from raynas.reporting.summary import PAGE
from raynas.settings.methods import load_method
from raynas.storage.usage import StageUsage, Usage
from raynas.training.answers import Answers
from tests.analysis import browser
from tests.analysis.gate_runs import METHODS, invented_epochs, write_search
from tests.analysis.invented import STARTED, InventedRun, Size
from tests.data.samples import build_images
from tests.reporting.page.runs import make_run, outcome

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>"
# WCAG 2: contrast of an element's text with what is painted behind it
CONTRASTS = """
const rgb = (text) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (colour) => {
  const [r, g, b] = colour.map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const found = {};
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.getClientRects().length || element.closest(".unseen, script")) continue;
  const style = getComputedStyle(element);
  const colour = rgb(style.color);
  const [a, b] = [luminance(colour), luminance(behind(element))].sort((x, y) => y - x);
  const name = `${element.tagName}.${element.getAttribute("class") ?? ""}`;
  found[name] = Math.min(found[name] ?? 99, (a + 0.05) / (b + 0.05));
}
return found;
"""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    """Start one browser for all tests."""
    with browser.started() as chrome:
        yield chrome


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> InventedRun:
    """Return a run that has something in every section of its report."""
    run = InventedRun(tmp_path_factory.mktemp("page") / "run-a", 0, Size()).finish()
    checks = [
        {
            "architecture": str(at),
            "score": float(at),
            "depth": at,
            "macs": 9 - at,
            "params": 1,
            "naswot": float(at),
            "val_accuracy": at / 9,
            "seconds": 1.0,
            "status": "finished",
            "error": None,
        }
        for at in range(8)
    ]
    run.store.append("checks", checks, "checks")
    best = RunSnapshot(run.store, METHODS, STARTED, progress(run.store)).best
    assert best is not None
    label = np.arange(60, dtype=np.int32) % 10
    answer = np.where(label % 4, label, (label + 3) % 10).astype(np.int32)
    sure = np.linspace(0.2, 1.0, 60, dtype=np.float32)
    answers = Answers(label, answer, sure, sure, sure**2)
    answering = Answering(best["architecture"], best["architecture"], False, "train")
    write_answers(run.store, answering, {"test": answers})
    write_mistakes(run.store, answering, answers, build_images(60, 96, 3, 10, seed=0))
    outcomes = [row | {"temperature": 1.5} for row in run.store.rows("outcomes")]
    run.store.append("outcomes", outcomes, *run.store.parts("outcomes"))
    stage = StageUsage(seconds=60.0, written_bytes=1e6, low_seconds=40.0, high_seconds=90.0)
    for seed in (0, 1):
        searched = invented_epochs(load_method("prdarts", METHODS), seed, 8)
        write_search(run.store, seed, searched)
    row = run.store.rows("runs")[0]
    stages = Usage({"pretrain": stage, "retrain": stage}).to_json()
    run.store.append("runs", [row | {"forecast": stages, "spent": stages}], "run")
    return run


@pytest.fixture(scope="module")
def page(run: InventedRun) -> str:
    """Return the address of its report."""
    assert report.main([run.store.uri]) == 0
    return f"file://{run.store.locate(PAGE)}"


@pytest.fixture
def opened(chrome: Chrome, page: str) -> Chrome:
    """Return the browser with the report on a desk's screen."""
    browser.emulate(chrome, 1200)
    browser.requests(chrome)
    chrome.get(page)
    return chrome


def rows_of(chrome: Chrome, table: str = "#outcomes table") -> list[list[str]]:
    """Return a table's texts."""
    script = "return [...document.querySelector(arguments[0]).tBodies[0].rows].map("
    found: list[list[str]] = chrome.execute_script(
        script + "(r) => [...r.cells].map((c) => c.textContent))", table
    )
    return found


def heading(chrome: Chrome, name: str) -> Any:
    """Return the heading of a column of the outcomes."""
    return chrome.find_element(By.XPATH, f"//section[@id='outcomes']//th[.//button[.='{name}']]")


def test_the_browser_complains_of_nothing_and_asks_for_nothing_else(
    opened: Chrome, page: str
) -> None:
    assert browser.console(opened) == []
    assert browser.requests(opened) == [page]


def test_every_section_is_there_and_the_answer_is_first(opened: Chrome, run: InventedRun) -> None:
    found = [each.get_attribute("id") for each in opened.find_elements(By.TAG_NAME, "section")]
    best = run.store.rows("outcomes")[0]
    answer = opened.find_element(By.CLASS_NAME, "answer").text

    assert found[1:] == [
        "outcomes",
        "classes",
        "confusion",
        "mistakes",
        "calibration",
        "front",
        "gates",
        "weights",
        "search",
        "indicators",
        "fairness",
        "isometry",
        "check",
        "training",
        "times",
        "failures",
        "settings",
        "about",
    ]
    assert best["architecture"] in answer
    assert f"{100 * best['test_accuracy']:.2f}" in answer


def test_a_click_sorts_by_values_and_says_so(opened: Chrome) -> None:
    macs = heading(opened, "MACs")
    macs.find_element(By.TAG_NAME, "button").click()
    up = [row[4] for row in rows_of(opened)]
    states = [macs.get_attribute("aria-sort"), heading(opened, "Rank").get_attribute("aria-sort")]
    macs.find_element(By.TAG_NAME, "button").click()

    values = [float(text.removesuffix("M")) for text in up]
    assert values == sorted(values)
    assert states == ["ascending", "none"]
    assert [row[4] for row in rows_of(opened)] == up[::-1]
    assert macs.get_attribute("aria-sort") == "descending"
    assert opened.find_element(By.ID, "told").get_attribute("textContent") == (
        "Retrained networks: sorted by MACs, descending"
    )


def test_the_keyboard_sorts_best_first_and_missing_values_stay_last(opened: Chrome) -> None:
    button = heading(opened, "Validation").find_element(By.TAG_NAME, "button")
    for key, order in ((Keys.ENTER, "descending"), (Keys.SPACE, "ascending")):
        opened.execute_script("arguments[0].focus()", button)
        button.send_keys(key)
        shown = [row[3] for row in rows_of(opened)]
        known = [float(text.split()[0]) for text in shown[:-1]]
        assert known == sorted(known, reverse=order == "descending")
        assert shown[-1] == "-"
        assert heading(opened, "Validation").get_attribute("aria-sort") == order


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_a_page_fits_its_window_and_its_text_stands_out(
    chrome: Chrome, page: str, scheme: str, width: int
) -> None:
    browser.emulate(chrome, width, scheme)
    chrome.get(page)
    for each in chrome.find_elements(By.TAG_NAME, "details"):
        chrome.execute_script("arguments[0].open = true", each)

    assert chrome.execute_script("return document.documentElement.scrollWidth") == width
    paper = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", paper)[0]) < 60) == (scheme == "dark")
    contrasts = chrome.execute_script(CONTRASTS)
    assert len(contrasts) > 30
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_figures_are_told_in_words_and_data_and_letters_are_legible_on_a_phone(
    chrome: Chrome, page: str
) -> None:
    browser.emulate(chrome, 360)
    chrome.get(page)
    images = chrome.find_elements(By.CSS_SELECTOR, "figure img")
    script = "return arguments[0].getBoundingClientRect().width / arguments[0].naturalWidth"

    assert len(images) == 13
    for image in images:
        assert len(image.get_attribute("alt") or "") > 40
        assert chrome.execute_script("return arguments[0].complete", image)
        assert 10.7 * chrome.execute_script(script, image) > 9  # pixels of the smallest letters
    assert chrome.execute_script("return document.querySelectorAll('[id]').length") == len(
        set(chrome.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)"))
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_have_the_ink_and_paper_of_the_page(chrome: Chrome, page: str, scheme: str) -> None:
    browser.emulate(chrome, 1200, scheme)
    chrome.get(page)
    (image, *_) = chrome.find_elements(By.CSS_SELECTOR, "#search figure img")
    chrome.execute_script("arguments[0].scrollIntoView()", image)
    pixels = matplotlib.image.imread(io.BytesIO(image.screenshot_as_png))[..., :3].mean(axis=2)

    paper, inked = np.median(pixels), np.abs(pixels - np.median(pixels)) > 0.6
    assert (paper < 0.2) if scheme == "dark" else (paper > 0.9)
    assert 0.001 < inked.mean() < 0.2  # letters and the line of the best score


def test_it_prints_without_what_only_a_screen_can_do(opened: Chrome) -> None:
    pdf = base64.b64decode(
        opened.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    )
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = {
        name: opened.find_element(By.CSS_SELECTOR, name).is_displayed()
        for name in ("nav", "figure img", "#outcomes table", "summary")
    }

    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    assert shown == {
        "nav": False,
        "figure img": True,
        "#outcomes table": True,
        "summary": False,
    }


def test_hostile_names_are_shown_and_do_nothing(chrome: Chrome, tmp_path: Path) -> None:
    plan = {"classes": [HOSTILE], "channels": 1, "resolution": 8}
    rows = [outcome(1), outcome(2, HOSTILE, status="failed", error=HOSTILE)]
    store = make_run(tmp_path / "a <b> & c", plan=plan, outcomes=rows)
    assert report.main([store.uri]) == 0
    chrome.get(Path(store.locate(PAGE)).as_uri())

    assert browser.console(chrome) == []  # an alert would stop the next line, too
    assert f"1: {HOSTILE}" in chrome.find_element(By.ID, "about").text
    assert HOSTILE in chrome.find_element(By.ID, "failures").text


def test_a_live_run_is_told_as_one(chrome: Chrome, invent: Callable[..., InventedRun]) -> None:
    run = invent("live")
    run.start()
    run.measure()
    run.pretrain(40)
    assert report.main([run.store.uri]) == 0
    chrome.get(f"file://{run.store.locate(PAGE)}")

    assert "pretraining is at step 40" in chrome.find_element(By.CLASS_NAME, "answer").text
    coming = chrome.find_element(By.ID, "coming").text
    assert "All outcomes, Pareto front, Search" in coming
    assert len(chrome.find_elements(By.CSS_SELECTOR, "section figure")) == 3
    assert browser.console(chrome) == []


def test_the_command_writes_where_it_is_told_and_prints_that(
    invent: Callable[..., InventedRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = invent()
    run.start(STARTED + timedelta(seconds=1))
    place = tmp_path / "new" / "a.html"

    assert report.main([run.store.uri, "--out", str(place)]) == 0
    assert capsys.readouterr().out == f"{place}\n"
    assert place.read_text().startswith("<!DOCTYPE html>")
    assert not run.store.has(PAGE)


@pytest.mark.parametrize("arguments", [["nowhere"], ["RUN", "--out", "page.pdf"]])
def test_a_mistake_is_a_sentence(
    arguments: list[str], young_run: InventedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("RUN", young_run.store.uri) for word in arguments]

    assert report.main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")
