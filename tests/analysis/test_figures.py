"""Figures: where they are saved, that they hold a picture, and that all of it is legible."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis import curves, front, history, indicators, isometry
from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.storage.run_store import RunStore
from tests.analysis.invented import InventedRun, Size

Draw = Callable[[RunStore], Figure]
DRAWINGS: dict[str, Draw] = {
    "curves": curves.draw,
    "front": lambda store: front.draw([store]),
    "history": lambda store: history.draw([store]),
    "indicators": indicators.draw,
    "isometry": lambda store: isometry.draw([store]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_run_of_realistic_size_fits_into_its_picture_which_is_neither_blank_nor_full(
    name: str, full_run: InventedRun
) -> None:
    figure = DRAWINGS[name](full_run.store)
    content = plot_style.rendered(figure, "png")

    pixels = matplotlib.image.imread(io.BytesIO(content))
    width, height = figure.get_size_inches()
    assert pixels.shape[:2] == pytest.approx((height * 150, width * 150), abs=1)
    painted = (pixels[..., :3] < 0.9).any(axis=2)
    assert 0.02 < painted.mean() < 0.7
    drawn = figure.get_tightbbox()  # inches around everything that is drawn
    assert min(drawn.x0, drawn.y0) >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


def test_the_first_look_at_lines_differ_in_colour_and_later_ones_in_dashes() -> None:
    looks = [plot_style.line_look(index) for index in range(24)]

    assert len(set(looks)) == 24
    assert len({colour for colour, _ in looks[:6]}) == 6
    assert plot_style.line_look(24) == looks[0]


@pytest.mark.usefixtures("small_run")
def test_a_figure_lies_beside_the_tables_also_where_the_run_is_a_uri(tmp_path: Path) -> None:
    store = RunStore.open(f"file://{tmp_path}/run-a")

    path = plot_style.save(Figure(), store, "empty", plot_style.Place())
    assert path == f"file://{tmp_path}/run-a/figures/empty.png"
    assert (tmp_path / "run-a/figures/empty.png").is_file()


def test_the_same_drawing_gives_the_same_file_in_both_formats() -> None:
    for file_format, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        first, second = Figure(figsize=(2, 2)), Figure(figsize=(2, 2))
        for figure in (first, second):
            figure.subplots().plot([1, 2], marker="o")

        content = plot_style.rendered(first, file_format)
        assert content.startswith(start)
        assert content == plot_style.rendered(second, file_format)


def test_out_says_where_a_figure_goes_and_its_ending_in_which_format(
    small_run: InventedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "new" / "a.svg"

    assert history.main([small_run.store.uri, "--out", str(picture)]) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    assert b"<svg" in picture.read_bytes()
    assert not small_run.store.list_files("figures")


def test_a_relative_out_lies_in_the_working_folder(
    small_run: InventedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    path = plot_style.save(Figure(), small_run.store, "x", plot_style.Place(out="a.png"))
    assert path == str(tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_format_svg_writes_svg_beside_the_tables(small_run: InventedRun) -> None:
    plot_style.save(Figure(), small_run.store, "x", plot_style.Place(file_format="svg"))

    assert b"<svg" in small_run.store.read_bytes("figures/x.svg")


@pytest.mark.parametrize("out", ["a.pdf", "folder/", "figure"])
def test_an_ending_that_is_no_format_is_refused(out: str, small_run: InventedRun) -> None:
    with pytest.raises(UserError, match=r"wanted \.png or \.svg"):
        plot_style.save(Figure(), small_run.store, "x", plot_style.Place(out=out))


def test_axes_show_macs_with_a_letter_and_accuracies_by_percent() -> None:
    axes = Figure().subplots()
    plot_style.show_quantities(axes.xaxis)
    plot_style.show_percent(axes.yaxis)
    axes.set(xlim=(3e8, 4e8), ylim=(0.85, 0.95), xticks=[3.3e8], yticks=np.array([0.925, 0.93]))

    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["330M"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["92.5", "93.0"]


def test_a_run_without_a_name_is_described_by_its_folder(
    invent: Callable[..., InventedRun],
) -> None:
    run = invent("nameless", size=Size())
    run.store.append("runs", [{"method": "spos", "space": "mine", "seed": 7}], "run")

    assert plot_style.describe(run.store) == "nameless: spos on mine, seed 7"
