"""Networks beside the winners: trained like them, with a table of their own.

What people would take without a search gets the same images, recipe and epochs, so that a run says
by itself whether searching was worth it.
"""

from dataclasses import replace
from typing import Any

from raynas.cluster.final_training import Trainings, train
from raynas.cluster.planning.rival_choices import PlannedRival
from raynas.cluster.run import Run
from raynas.cluster.tune.trial_recorder import RIVALS
from raynas.cluster.tune.tune_searcher import ConfigSearcher
from raynas.recording.rivals import RivalsTable


def train_rivals(run: Run) -> None:
    """Train the networks that stand beside the winners, and write the tables of them.

    They are trained on what the networks that are exported have been trained on.

    Args:
        run: One whose winners were trained.

    Raises:
        StageError: The trials ended early.
    """
    rivals, settings = run.plan.rivals, run.settings
    if not (rivals.planned or rivals.left_out):
        return
    table = RivalsTable(run.store, {each.name: each for each in rivals.planned})
    table.leave_out(rivals.left_out)
    left = [each for each in rivals.planned if not table.is_settled(each.name)]
    if not left:
        return
    searcher = ConfigSearcher([_config(run, each) for each in left])
    each = replace(settings.retrain, top_k=len(rivals.planned), scheduler="fifo")
    train(run, searcher, Trainings("rivals", each, settings.retrain.on, RIVALS), table.add)


def _config(run: Run, rival: PlannedRival) -> dict[str, Any]:
    """Return what a trial trains; under its name an earlier run may have another network."""
    name, network = rival.name, str(rival.chosen)
    anew = run.earlier is not None and not run.earlier.has_rival(name, network)
    return {"rival": name, "chosen": network, "anew": anew}
