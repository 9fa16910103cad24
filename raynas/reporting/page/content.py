"""The sections of the page, in its order; each is there as far as the run has come."""

from collections.abc import Callable

from raynas.reporting.fairness import count_updates, fairness_line
from raynas.reporting.page import (
    best_answers,
    gate_figures,
    listings,
    search_figures,
    training_figures,
)
from raynas.reporting.page.embedding import PageFigure
from raynas.reporting.page.front_figure import front, points_of
from raynas.reporting.page.heat_map import heat_map
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.reporting.page.section import Section
from raynas.reporting.queries import (
    best_search,
    isometry_by_layer,
    last_epochs,
    last_gates,
    measured_candidates,
    pareto,
    score_name,
)
from raynas.reporting.rank_correlation import checked
from raynas.reporting.rivals import as_sentence
from raynas.reporting.summary import gap_lines, rival_lines, spent_lines
from raynas.storage.usage import Usage

_MEASURED = (
    "What an image takes was measured in torch, in float32, on one CPU thread of the machine that "
    "drove the run, all networks in turn."
)


def sections(snapshot: RunSnapshot) -> list[Section]:
    """Return the sections that the run has, or will have."""
    makers: tuple[Callable[[RunSnapshot], Section | None], ...] = (
        _outcomes,
        _rivals,
        best_answers.by_class,
        best_answers.confusion,
        best_answers.mistakes,
        best_answers.calibration,
        _front,
        _gates,
        _weights,
        _history,
        _indicators,
        _fairness,
        _isometry,
        _check,
        _curves,
        _times,
    )
    return [section for make in makers if (section := make(snapshot)) is not None]


def _outcomes(snapshot: RunSnapshot) -> Section:
    name, title = "outcomes", "All outcomes"
    if not snapshot.outcomes:
        return Section(name, title, is_empty=True)
    lead = (
        "Every network that was retrained, ranked by validation accuracy. "
        "A click on a heading sorts."
    )
    notes = [_MEASURED] if any(row.get("measured_ms") for row in snapshot.outcomes) else []
    return Section(name, title, lead, notes, tables=[listings.outcomes(snapshot)], is_open=True)


def _rivals(snapshot: RunSnapshot) -> Section | None:
    name, title = "rivals", "Rivals"
    rows = snapshot.store.rows("rivals")
    if not (rows or snapshot.settings.rival_names or snapshot.plan.auto_rivals):
        return None
    if not rows:
        return Section(name, title, is_empty=True)
    lead = (
        "What people would take without a search, trained by the same recipe on the same images, "
        "as wide as the limits allow."
    )
    notes = [as_sentence(line, rows) for line in rival_lines(snapshot.store)]
    return Section(name, title, lead, notes, tables=[listings.rivals(rows)], is_open=True)


def _front(snapshot: RunSnapshot) -> Section:
    name, title = "front", "Pareto front"
    kinds, limits = snapshot.settings.search.goals, snapshot.settings.limits
    drawn = {kind: points_of(snapshot.outcomes, kind) for kind in kinds or ("macs",)}
    known = {kind: points for kind, points in drawn.items() if not points.empty}
    if not known:
        return Section(name, title, is_empty=True)
    fronts = {kind: pareto(points, "val_accuracy", "cost") for kind, points in known.items()}
    rivals = snapshot.store.rows("rivals")
    return Section(
        name,
        title,
        "Left is cheaper, up is better. Trainings that were stopped early are left out.",
        figures=[front(points, kind, limits, rivals) for kind, points in known.items()],
        tables=[listings.front(points, kind) for kind, points in fronts.items()],
    )


def _history(snapshot: RunSnapshot) -> Section:
    name, title, scored = "search", "Search", snapshot.scored
    if scored["score"].notna().sum() == 0:
        return Section(name, title, is_empty=True)
    drawn = search_figures.history(scored, score_name(snapshot.run))
    notes = [_sentence(line) for line in gap_lines(snapshot.store)]
    lead = f"Found by {snapshot.settings.search.strategy}; a higher score is better."
    if snapshot.is_differentiable:
        lead = (
            "What the searches ended with; the score is the accuracy of a search's own network in "
            "its last epoch, on the half of the training images that its gates learn from."
        )
    return Section(name, title, lead, notes, [drawn], [listings.generations(scored)])


def _gates(snapshot: RunSnapshot) -> Section | None:
    name, title, epochs = "gates", "Gates", snapshot.search_epochs
    if epochs.empty:
        return Section(name, title, is_empty=True) if snapshot.is_differentiable else None
    lead = (
        "The genotypes that the gates stand for, epoch by epoch: how many of the inputs of nodes "
        "are skip connections, and how many operations with weights lie on a path through a cell. "
        "The accuracy is that of the last epoch, while training; a star marks the best search."
    )
    whole = epochs[epochs["val_loss"].notna()]
    figures = [] if whole.empty else gate_figures.curves(whole)
    table = gate_figures.searches(last_epochs(epochs))
    return Section(name, title, lead, figures=figures, tables=[table], is_open=True)


def _weights(snapshot: RunSnapshot) -> Section | None:
    if snapshot.search_epochs.empty:
        return None
    best = best_search(last_epochs(snapshot.search_epochs))
    grids = {} if best is None else last_gates(snapshot.table("gates"), best)
    if best is None or not grids:
        return None
    tables = [gate_figures.heat_map(cell, of, str(best["genotype"])) for cell, of in grids.items()]
    lead = (
        f"The weights by which the genotype of seed {best['seed']} was chosen, after epoch "
        f"{best['epoch']}. A node reads states: 0 and 1 are the outputs of the two cells before, 2 "
        "is node 0. A box marks what was chosen."
    )
    return Section(
        "weights", "Weights of the best search", lead, tables=tables, is_open=True, look="heat"
    )


def _indicators(snapshot: RunSnapshot) -> Section | None:
    name, title = "indicators", "What the supernet says of each candidate"
    if snapshot.reads_start:
        title = "What the trained weights say of each candidate"
    elif not snapshot.pretrains or snapshot.settings.pretrain.trainable == "weights":
        return None
    table = heat_map(snapshot)
    if table is None:
        return Section(name, title, is_empty=True)
    lead = (
        "Candidates compete within their layer. The tint goes from a layer's lowest value to its "
        "highest, which is bold with a dot; the lead tells how far that is above the second."
    )
    boxed = "A box marks what the best network uses." if snapshot.best else ""
    return Section(
        name, title, f"{lead} {boxed}".strip(), tables=[table], is_open=True, look="heat"
    )


def _fairness(snapshot: RunSnapshot) -> Section | None:
    name, title, ledger = "fairness", "Fairness", snapshot.table("ledger")
    if not snapshot.pretrains:
        return None
    if ledger.empty:
        return Section(name, title, is_empty=True)
    counts = ledger.groupby("layer")["updates"]
    widest = int((counts.max() - counts.min()).max())
    layers = counts.ngroups
    if widest:
        sampling = snapshot.settings.pretrain.sampling
        lead = (
            f"Not strictly fair: in a layer updates differ by up to {widest:,} "
            f"(sampling {sampling})."
        )
    else:
        told = _sentence(fairness_line(count_updates(ledger)))
        lead = f"Strictly fair: most minus fewest updates is 0 in all {layers} layers. {told}"
    return Section(name, title, lead, tables=[listings.updates(ledger)])


def _isometry(snapshot: RunSnapshot) -> Section | None:
    name, title, table = "isometry", "Isometry before training", snapshot.table("isometry")
    if not snapshot.pretrains:
        return None
    if table.empty:
        return Section(name, title, is_empty=True)
    rows = measured_candidates(table, snapshot.run)
    lead = (
        "phi is the mean squared singular value of a candidate's Jacobian, its gain. Where the "
        "gains of a layer are even, no candidate begins with an advantage."
    )
    drawn = training_figures.gains(rows)
    return Section(
        name, title, lead, figures=drawn, tables=[listings.isometry(isometry_by_layer(rows))]
    )


def _check(snapshot: RunSnapshot) -> Section | None:
    check = checked(snapshot.store.rows("checks"), snapshot.store.rows("predictions"))
    if check is None:
        return None
    lead = (
        f"{check.num_trained} networks were trained briefly. tau is 1 where a score ranks them as "
        "training does, 0 where it is a guess; the learned score predicts each network from the "
        "others alone."
    )
    verdict = _sentence(check.verdict)
    drawn = search_figures.check(snapshot.table("checks"), verdict)
    return Section(
        "check",
        "What short trainings say of the score",
        lead,
        figures=[drawn],
        tables=[listings.agreements(check)],
        is_open=True,
        look="beside",
    )


def _curves(snapshot: RunSnapshot) -> Section:
    name, title = "training", "Training"
    figures: list[PageFigure] = []
    if len(snapshot.steps):
        figures.append(training_figures.losses(snapshot.steps))
    if len(snapshot.trials):
        ranks = {row["architecture"]: row["rank"] for row in snapshot.outcomes if row["rank"]}
        figures += training_figures.curves(snapshot.trials, ranks)
    if not figures:
        return Section(name, title, is_empty=True)
    lead = (
        "Last values are in the table of all outcomes; every step and epoch is in the run folder."
    )
    if not len(snapshot.trials) and snapshot.progress.state != "finished":
        lead = f"Retraining comes later: {snapshot.progress.words}."
    return Section(name, title, lead, figures=figures)


def _times(snapshot: RunSnapshot) -> Section | None:
    expected, spent = (Usage.from_json(snapshot.run[name]).stages for name in ("forecast", "spent"))
    if not expected and not spent:
        return None
    figures = [training_figures.times(expected, spent)] if expected else []
    lead = "" if expected else "This run was begun without a forecast."
    notes = [_sentence(line) for line in spent_lines(snapshot.store)]
    return Section(
        "times",
        "Forecast against truth",
        lead,
        notes,
        figures,
        [listings.times(expected, spent)],
        is_open=True,
    )


def _sentence(line: str) -> str:
    """Return a printed line as a sentence."""
    return f"{line[:1].upper()}{line[1:]}."
