"""A comparison as the paper's two tables: what was found at what cost, and what training took.

Source: Tables 1 and 2 of the paper (arXiv 2307.02263). Rivals, which nobody searched for, stand
first, as its reference rows do.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raynas.benchmark.method_comparison import Row, Spread, by_method, is_biased, over_seeds
from raynas.costs.costs import show_quantity
from raynas.reporting.trained_words import trained_words
from raynas.settings.methods import method_label
from raynas.storage.uris import name_of
from raynas.terminal.text_tables import Column, TextTable

Show = Callable[[float], str]
_ACCURACY: Show = "{:.4f}".format


@dataclass(frozen=True)
class PaperTable:
    """A table of a comparison: a line for each method, means over its seeds.

    Attributes:
        title: What stands above.
        texts: Of its columns of words, the heading, the name and what a line says.
        numbers: Of its columns of numbers, the measure, the heading and how it is shown.
        lines: The rows of each method.
    """

    title: str
    texts: tuple[tuple[Column, str, Callable[[Sequence[Row]], str]], ...]
    numbers: tuple[tuple[str, Column, Show], ...]
    lines: Sequence[Sequence[Row]]

    @property
    def known(self) -> list[tuple[str, Column, Show]]:
        """The columns of numbers that some line has."""
        found = [over_seeds(rows) for rows in self.lines]
        return [each for each in self.numbers if any(each[0] in line for line in found)]

    def text(self) -> TextTable:
        """Return it for a console."""
        first, *others = self.texts
        columns = [first[0], *(each[0] for each in others), *(each[1] for each in self.known)]
        cells = [
            [
                *(say(rows) for _, _, say in self.texts),
                *(_cell(over_seeds(rows).get(name), show) for name, _, show in self.known),
            ]
            for rows in self.lines
        ]
        return TextTable(columns, cells, self.title)

    def csv(self) -> str:
        """Return it as comma-separated values: each number with its deviation over the seeds."""
        names = [name for name, _, _ in self.known]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        heads = [part for name in names for part in (name, f"{name}_deviation")]
        writer.writerow([*(name for _, name, _ in self.texts), *heads])
        for rows in self.lines:
            found = over_seeds(rows)
            numbers = [part for name in names for part in found.get(name) or (None, None)]
            writer.writerow([*(say(rows) for _, _, say in self.texts), *numbers])
        return file.getvalue()


def paper_tables(rows: Sequence[Row]) -> tuple[PaperTable, PaperTable]:
    """Return Table 1, what was found and what finding it cost, and Table 2, what training took.

    Args:
        rows: Of the table ``comparison``.
    """
    groups = list(by_method(rows).values())
    rivals = [each for each in groups if each[0].get("is_rival")]
    methods = [each for each in groups if not each[0].get("is_rival")]
    macs = ("macs", Column("MACs"), lambda number: show_quantity(round(number)))
    params = ("params", Column("params"), lambda number: show_quantity(round(number)))
    accuracy = ("best_test_accuracy", Column("accuracy"), _ACCURACY)
    name = (Column("method", folds=True), "method", _name)
    found = PaperTable(
        "Table 1: what was found, and at what cost (means over seeds +- deviation)",
        (name, (Column("data", is_text=True, lesser=3), "data", _data)),
        (
            macs,
            params,
            accuracy,
            ("true_accuracy", Column("true\naccuracy"), _ACCURACY),
            ("search_gpu_days", Column("GPU-days"), "{:.3g}".format),
            ("search_hours", Column("hours", lesser=1), "{:.3g}".format),
        ),
        [*rivals, *methods],
    )
    trained = PaperTable(
        "Table 2: what training the supernet took (means over seeds +- deviation)",
        (
            name,
            (Column("trained", is_text=True, folds=True), "trained", _learned_of),
            (Column("runs", lesser=2), "runs", _runs),
        ),
        (
            accuracy,
            ("ms_per_step", Column("ms/step", lesser=3), "{:.1f}".format),
            ("ms_per_path", Column("ms/path"), "{:.1f}".format),
            ("pretrain_seconds", Column("pretrain s", lesser=5), "{:.1f}".format),
            ("search_seconds", Column("search s", lesser=6), "{:.1f}".format),
            ("tau", Column("tau"), "{:.3f}".format),
            ("regret", Column("regret", lesser=1), _ACCURACY),
        ),
        methods,
    )
    return found, trained


def learned(row: Row) -> str:
    """Return what learned in a run's supernet, or beside it, in words."""
    trainable = row.get("trainable")
    if trainable is None:
        return "nothing"
    if trainable == "gates":
        return "weights and gates"
    return trained_words(trainable, row.get("trains_classifier"), row.get("trained_numbers"))


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what a reader of the numbers must know, and every run's error."""
    found = ["accuracy: on the test images, of each run's best network by validation"]
    if any(row.get("is_rival") for row in rows):
        found.append("rivals, first: networks nobody searched for, trained by the same recipe")
    for source, text in (
        ("truth", "tau: Kendall's, with the true accuracies of {} networks"),
        ("check", "tau: Kendall's, with brief trainings of {} networks (--trainings)"),
    ):
        counts = [row["tau_networks"] for row in rows if row.get("tau_source") == source]
        if counts:
            low, high = min(counts), max(counts)
            found.append(text.format(f"{low:,}" if low == high else f"{low:,} to {high:,}"))
    visited = sorted({method_label(row["method"]) for row in rows if is_biased(row)})
    if visited:
        found.append(f"tau of {', '.join(visited)}: of visited networks alone, a biased sample")
    return found + [
        f"{_name([row])}, seed {row['seed']} failed: {row['error']}" for row in rows if row["error"]
    ]


def _name(rows: Sequence[Row]) -> str:
    method = str(rows[0]["method"])
    return method if rows[0].get("is_rival") else method_label(method)


def _data(rows: Sequence[Row]) -> str:
    """Return what was searched on; a rival was found by people, on other images."""
    return "-" if rows[0].get("is_rival") else Path(name_of(str(rows[0]["data"]))).name


def _learned_of(rows: Sequence[Row]) -> str:
    return learned(rows[0])


def _runs(rows: Sequence[Row]) -> str:
    return f"{sum(row['status'] == 'finished' for row in rows)}/{len(rows)}"


def _cell(found: Spread | None, show: Show) -> str:
    if found is None:
        return "-"
    return show(found.mean) + (f" +-{show(found.deviation)}" if found.deviation is not None else "")
