"""What runs at several resolutions say at their end: who wins, and how surely."""

from rich.console import Console

from raynas.costs.costs import show_quantity, show_seconds
from raynas.reporting.resolutions import FoundAt, ResolutionComparison
from raynas.reporting.rivals import paired_words, rival_words
from raynas.reporting.summary import PAGE
from raynas.storage.run_store import RunStore
from raynas.terminal.text_tables import Column, TextTable

COLUMNS = (
    Column("pixels"),
    Column("best network", folds=True),
    Column("MACs", lesser=2),
    Column("params", lesser=4),
    Column("val\naccuracy", lesser=1),
    Column("test\naccuracy", lesser=1),
    Column("took", lesser=3),
)
"""Of the table of resolutions."""


def print_resolutions(store: RunStore, found: ResolutionComparison, console: Console) -> None:
    """Print the winner, a row for each resolution, how sure it is, and where it all lies.

    Args:
        store: The folder of the runs.
        found: What they have found.
        console: Where to print it.
    """
    first, *others = summary_lines(found)
    console.print(first, markup=False, highlight=False, soft_wrap=True)
    rows = map(resolution_cells, found.found)
    console.print(TextTable(COLUMNS, rows, f"Resolutions of {store.name}"))
    for line in others:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.found and found.found[0].export:
        print(f"export: {found.found[0].export}")  # noqa: T201 - never wrapped
    if store.has(PAGE):
        print(f"report: {store.locate(PAGE)}")  # noqa: T201 - the same
    print(f"run folder: {store.uri}")  # noqa: T201 - the same


def summary_lines(found: ResolutionComparison) -> list[str]:
    """Return who wins, how surely, how the best rival does, and what is left to do."""
    winner, *tested = winner_sentences(found)
    return [
        f"winner: {winner}",
        *(f"test: {each}" for each in tested),
        *(f"rivals: {each}" for each in rival_sentences(found)),
        *(f"unfinished: {each}" for each in left_sentences(found)),
    ]


def resolution_cells(found: FoundAt) -> list[str]:
    """Return the texts of a resolution's row."""
    best, test = found.best, found.best["test_accuracy"]
    return [
        str(found.resolution),
        best["architecture"],
        show_quantity(best["macs"]),
        show_quantity(best["params"]),
        f"{found.val_accuracy:.4f}",
        "-" if test is None else f"{test:.4f}",
        show_seconds(found.seconds),
    ]


def winner_sentences(found: ResolutionComparison) -> list[str]:
    """Return who wins, and how surely on the test images, if there is a second one."""
    if not found.found:
        return ["none, for no network was trained to its end at any resolution"]
    winner, *others = found.found
    words = (
        f"{winner.best['architecture']} at {winner.resolution} pixels, by its accuracy on "
        f"validation images, {winner.val_accuracy:.4f}"
    )
    if not others:
        return [words]
    names = [f"the best network at {each.resolution} pixels" for each in (winner, others[0])]
    paired = found.paired
    is_tie = winner.val_accuracy == others[0].val_accuracy
    return [
        f"{words} against {others[0].val_accuracy:.4f} of {names[1]}"
        + (", and by its fewer MACs" if is_tie else ""),
        *([paired_words(paired, *names)] if paired else []),
    ]


def rival_sentences(found: ResolutionComparison) -> list[str]:
    """Return how the winner compares with the best rival of all resolutions, if there is one."""
    rival = found.best_rival
    if rival is None:
        return []
    name = f"{rival_words(rival.row)} at {rival.resolution} pixels"
    words = (
        f"{name}, which nobody had to search for, is more accurate on {rival.part} images than "
        f"the winner: {rival.accuracy:.4f} against {rival.winners_accuracy:.4f}"
        if rival.is_ahead
        else f"the winner is no less accurate on {rival.part} images than the rivals of all "
        f"resolutions: {rival.winners_accuracy:.4f} against {rival.accuracy:.4f} of {name}"
    )
    return [words, *([paired_words(rival.paired, "the winner", name)] if rival.paired else [])]


def left_sentences(found: ResolutionComparison) -> list[str]:
    """Return at which resolutions something is left to do, if there is any."""
    left = [each.resolution for each in found.found if not each.is_finished]
    sizes = ", ".join(map(str, sorted([*left, *found.nothing_at])))
    return [f"the same command continues what is left at {sizes} pixels"] if sizes else []
