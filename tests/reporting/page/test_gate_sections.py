"""The sections of differentiable searches."""

import base64
import re
from pathlib import Path

from raynas.reporting.page.writing import make_page
from raynas.settings.settings import Settings
from tests.analysis.gate_runs import METHODS, begin_gates, invent_gates, settings_of
from tests.reporting.page.runs import make_run

ERROR = "what to do: take fewer images\nOSError: no <disk>"
FAILED = {"seed": 2, "epoch": 0, "status": "failed", "error": ERROR}


def figure_texts(page: str) -> str:
    """Return the SVG of all figures."""
    found = re.findall(r'data:image/svg\+xml;base64,([^"]*)"', page)
    return "".join(base64.b64decode(content).decode() for content in found)


def section(page: str, name: str) -> str:
    """Return a section without its tags; empty if there is none."""
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found[0] if found else "").split())


def test_searches_are_listed_by_seed_and_cell_and_failures_are_told(tmp_path: Path) -> None:
    store = invent_gates(tmp_path / "run", seeds=(0, 1), epochs=4)
    store.append("search_epochs", [FAILED], "000002")
    page = make_page(store, METHODS)
    told = section(page, "gates")
    rows = [row for row in store.rows("search_epochs") if row["status"] == "finished"]

    for row in rows:
        normal, reduction = row["genotype"].split("; ")
        share, depth = row["normal_skip_share"], row["normal_path_depth"]
        words = f"normal {100 * share:.2f} % {depth:.2f} {normal.removeprefix('normal: ')}"
        assert words in told
        assert reduction.removeprefix("reduction: ") in told
    assert "reduction - - failed" in told
    assert "mean and range of 2 seeds" in told
    assert "search of seed 2" in section(page, "failures")
    assert "no &lt;disk&gt;" in page


def test_the_last_weights_of_the_best_seed_are_a_map_with_the_chosen_in_boxes(
    tmp_path: Path,
) -> None:
    store = invent_gates(tmp_path / "run", seeds=(0, 1), epochs=4)
    page = make_page(store, METHODS)
    weights = [
        row["weight"] for row in store.rows("gates") if row["seed"] == 1 and row["epoch"] == 4
    ]

    assert "genotype of seed 1 was chosen, after epoch 4" in section(page, "weights")
    shown = re.findall(r'<td class="t\d( picked)?" data-v="([^"]+)"', page)
    assert [float(value) for _, value in shown] == weights
    assert sum(bool(picked) for picked, _ in shown) == 2 * 4 * 2  # cells, nodes, inputs


def test_the_score_is_told_for_what_it_is(tmp_path: Path) -> None:
    store = invent_gates(tmp_path / "run", epochs=1)
    row = {"order": 0, "generation": 0, "architecture": "1-0", "score": 0.5}
    store.append("architectures", [row | {"origin": "differentiable"}], "0")
    page = make_page(store, METHODS)
    told, drawn = section(page, "search"), figure_texts(page)

    assert "the score is the accuracy of a search's own network" in told.replace("&#39;", "'")
    assert "Score (accuracy while searching)" in drawn
    assert "saliency" not in told + drawn


def test_a_search_to_come_is_told_and_other_strategies_have_no_gates(tmp_path: Path) -> None:
    waiting = begin_gates(tmp_path / "waiting", settings_of("darts"))
    page = make_page(waiting, METHODS)

    assert "Gates" in section(page, "coming")
    assert 'id="gates"' not in page
    assert "Gates" not in make_page(make_run(tmp_path, settings=Settings()), METHODS)
