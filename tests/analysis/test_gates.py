"""The picture of differentiable searches and the table beside it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from analysis import gates
from raynas.differentiable.epochs import SearchEpoch
from raynas.differentiable.search import GateSearch
from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.spaces.genotype import Genotype
from raynas.storage.run_store import RunStore
from tests.analysis.gate_runs import begin_gates, invent_gates, settings_of, write_search
from tests.builders import shipped_cells
from tests.data.samples import digits

FAILED = {"seed": 2, "epoch": 0, "status": "failed", "error": "OSError: no disk"}
GENOTYPE = "normal: sep3(0) dil3(1); reduction: sep3(0) dil3(1)"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunStore, list[list[SearchEpoch]]]:
    """Return a run of two real searches on digits, and their epochs."""
    space = replace(shipped_cells(), nodes=2)
    settings = settings_of("prdarts", cells=3, channels=8, epochs=2, batch=12, seeds=2)
    store = begin_gates(tmp_path_factory.mktemp("real") / "real", settings)
    searches = [GateSearch(space, digits(48, 8), settings.differentiable, seed) for seed in (0, 1)]
    epochs = [[search.run_epoch() for _ in range(2)] for search in searches]
    for seed, each in enumerate(epochs):
        write_search(store, seed, each, space=space)
    return store, epochs


def rows_of(seed: int, skips: list[float], status: str | None = "finished") -> list[gates.Row]:
    """Return the rows of a search whose normal cells have that share of skip connections."""
    rows: list[gates.Row] = [
        {
            "seed": seed,
            "epoch": epoch,
            "val_loss": 1.0,
            "val_accuracy": share,
            "seconds": 2.0,
            "genotype": GENOTYPE,
            "normal_skip_share": share,
            "normal_path_depth": 1.5,
            "reduction_skip_share": 0.0,
            "reduction_path_depth": 2.0,
        }
        for epoch, share in enumerate(skips, 1)
    ]
    rows[-1]["status"] = status
    return rows


def run_of(folder: Path, *searches: list[gates.Row], method: str = "prdarts") -> RunStore:
    """Return a run of such searches."""
    store = begin_gates(folder, settings_of(method))
    for at, rows in enumerate(searches):
        store.append("search_epochs", rows, str(at))
    return store


def drawn(axes: Axes) -> list[list[float]]:
    """Return the heights of a panel's lines."""
    return [np.asarray(line.get_ydata()).tolist() for line in axes.lines]


def test_a_real_search_is_drawn_with_its_own_numbers(
    searched: tuple[RunStore, list[list[SearchEpoch]]],
) -> None:
    store, (first, second) = searched
    panels = gates.draw([store]).axes

    for axes, (cell, measure) in zip(
        panels, [(cell, of) for cell in gates.CELLS for of in gates.MEASURES], strict=True
    ):
        pairs = [
            [getattr(getattr(epoch, cell), measure) for epoch in both]
            for both in zip(first, second, strict=True)
        ]
        assert drawn(axes) == [pytest.approx(np.mean(pairs, axis=1))]


def test_bands_go_from_the_least_to_the_most_of_the_seeds_that_have_come_so_far(
    tmp_path: Path,
) -> None:
    store = run_of(tmp_path / "a", rows_of(0, [0.25, 0.5]), rows_of(1, [0.75], None))
    axes = gates.draw([store]).axes[0]
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices

    assert drawn(axes) == [[0.5, 0.5]]
    assert {tuple(corner) for corner in corners.tolist()} == {(1, 0.25), (1, 0.75), (2, 0.5)}


def test_runs_that_differ_in_seeds_alone_share_a_line_and_others_are_told_apart(
    tmp_path: Path,
) -> None:
    stores = [
        run_of(tmp_path / "a", rows_of(0, [0.25])),
        run_of(tmp_path / "b", rows_of(1, [0.75])),
        run_of(tmp_path / "c", rows_of(0, [1.0]), method="darts"),
    ]
    figure = gates.draw(stores)
    lines = figure.axes[0].lines

    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["prdarts", "darts"]
    assert drawn(figure.axes[0]) == [[0.5], [1.0]]
    for look in ("get_color", "get_linestyle", "get_marker"):
        assert len({getattr(line, look)() for line in lines}) == 2


def test_what_was_cut_short_is_counted_and_left_out_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = rows_of(3, [0.0], "stopped")
    store = run_of(
        tmp_path / "a", rows_of(0, [0.0, 0.25]), rows_of(1, [0.0, 0.5]), [FAILED], stopped
    )
    assert gates.main([store.uri, "--out", str(tmp_path / "a.png")]) == 0
    text = capsys.readouterr().out
    (row,) = [line.split() for line in text.splitlines() if "[" in line]

    assert " ".join(row) == (
        "prdarts 2 (1 failed, 1 stopped) 2 37.5 [25.0, 50.0] 1.50 0.0 2.00 37.5 [25.0, 50.0] 10"
    )
    assert f"prdarts, seed 1: {GENOTYPE}\n{tmp_path / 'a.png'}\n" in text


@pytest.mark.slow
def test_json_holds_the_same_numbers_as_shares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = run_of(tmp_path / "a", rows_of(0, [0.25]), rows_of(1, [0.5]))
    other = run_of(tmp_path / "b", [FAILED], method="darts")
    assert gates.main([store.uri, other.uri, "--json"]) == 0
    found, failed = json.loads(capsys.readouterr().out)["runs"]

    assert found["normal_skip_share"] == [0.375, 0.25, 0.5]
    assert (found["seeds"], found["best_seed"], found["genotype"]) == (2, 1, GENOTYPE)
    assert (failed["seeds"], failed["cut_short"]) == (0, {"failed": 1})
    assert failed["val_accuracy"] is failed["genotype"] is None


def test_the_heat_map_frames_what_the_best_seed_chose(tmp_path: Path) -> None:
    store = invent_gates(tmp_path / "run", "pcdarts", seeds=(0, 1), epochs=3, warmup=0)
    normal, reduction, _ = gates.draw_heat([store]).axes
    (best,) = (
        Genotype.parse(row["genotype"])
        for row in store.rows("search_epochs")
        if row["seed"] == 1 and row["epoch"] == 3
    )

    for axes, nodes in ((normal, best.normal), (reduction, best.reduction)):
        names = [label.get_text() for label in axes.get_xticklabels()]
        edges = [label.get_text() for label in axes.get_yticklabels()]
        corners = [each.get_xy() for each in axes.patches if isinstance(each, Rectangle)]
        framed = {(edges[round(y + 0.5)], names[round(x + 0.5)]) for x, y in corners}
        assert framed == {
            (f"{node}: {source}", operation)
            for node, inputs in enumerate(nodes)
            for source, operation in inputs
        }


def test_a_heat_map_is_of_one_run_that_has_gates(tmp_path: Path) -> None:
    store = run_of(tmp_path / "a", [FAILED])

    with pytest.raises(UserError, match="--of heat: got 2 runs, wanted one"):
        gates.draw_heat([store, store])
    with pytest.raises(UserError, match="no search has got through its first epoch yet"):
        gates.draw_heat([store])


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 40])
def test_pictures_of_short_and_long_searches_hold_all_that_is_drawn(
    epochs: int, tmp_path: Path
) -> None:
    store = invent_gates(tmp_path / "run", epochs=epochs)
    for figure in (gates.draw([store]), gates.draw_heat([store])):
        assert plot_style.rendered(figure, "png").startswith(b"\x89PNG")
        around, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(around.x0, around.y0) >= 0
        assert around.x1 <= width
        assert around.y1 <= height
