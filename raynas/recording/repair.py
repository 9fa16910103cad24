"""Making again what a run folder has lost, from what it still holds.

Most of it the stages do by themselves: what they do not find, they make. This is the rest.
"""

import json
from collections.abc import Callable

from raynas.recording.damage import damaged
from raynas.storage.outcome_rows import is_on_all, name_of_row
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import checkpoint_path, is_whole, read_metadata

_THEN = {
    "tables/runs": "it is made again from its copy",
    "tables/images": "it is made again from the images as they are now",
    "tables/lost_images": "which images could not be read is found again when they are met",
    "tables/steps": "the losses of those steps are lost, and nothing depends on them",
    "tables/ledger": "it is made again from the checkpoint of the pretraining",
    "tables/isometry": "it is measured again",
    "tables/indicators": "those of the last step are made again, those on the way are lost",
    "tables/architectures": "it is made again from the state of the search, or by searching again",
    "tables/gates": "it is made again from the searches' checkpoints, or by searching again",
    "tables/search_epochs": "it is made again from the searches' checkpoints",
    "tables/checks": "these networks are trained briefly again",
    "tables/trials": "it is made again from the trials' checkpoints",
    "tables/calibration": "it is made again from the short trainings or the state of the search",
    "tables/predictions": "it is made again from the short trainings",
    "tables/outcomes": "it is made again from the trials' checkpoints, or by training again",
    "tables/teacher_epochs": "they are lost, and nothing depends on them",
    "tables/rival_epochs": "it is made again from the trials' checkpoints",
    "tables/rivals": "it is made again from the trials' checkpoints, or by training again",
    "": "it is made again from the weights that --start names",
    "tables/answers": "it is made again by the trained networks",
    "tables/mistakes": "it is made again by the trained networks",
    "checkpoints": "what it was of begins anew and comes to the same",
    "models": "it is made again from the trial's checkpoint, or by training again",
}


def put_damaged_aside(store: RunStore, say: Callable[[str], None]) -> None:
    """Move files that cannot be read out of the way, and say what becomes of what was in them."""
    for path in list(damaged(store)):
        folder = path.rpartition("/")[0]
        say(f"warning: {path} was damaged: {_THEN[folder]} (moved to {store.put_aside(path)})")


def rebuild_trials(store: RunStore) -> None:
    """Write the epochs of trainings that have ended and have none in their tables."""
    for table, ends, column in (
        ("trials", "outcomes", "architecture"),
        ("rival_epochs", "rivals", "rival"),
    ):
        known = set(store.parts(table))
        for row in store.rows(ends):
            name = name_of_row(row)
            path = checkpoint_path(name)
            if name in known or row["status"] == "failed" or not is_whole(store, path):
                continue
            history = json.loads(read_metadata(store.read_bytes(path))["history"])
            trained_on = "all" if is_on_all(row) else "train"
            own = {"trial": None, column: row[column], "trained_on": trained_on}
            store.append(table, [own | epoch for epoch in history], part=name)


def warning_of_loss(lost: list[str]) -> str:
    """Return what to say of a finished run that lacks something."""
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"warning: the run had ended, but {lost[0]}{more} is lost or damaged; making it again"
