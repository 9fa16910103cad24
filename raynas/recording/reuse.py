"""Beginning a run with the pretraining of another one that trained the same supernet."""

from dataclasses import replace

from raynas.errors import UserError
from raynas.recording.matching_facts import changed_roles, other_facts
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.settings.settings import Settings, decides_supernet, differences
from raynas.settings.stage_inputs import differing_plans
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import is_whole
from raynas.training.starts.inheriting import SUPERNET

PRETRAINING = ("isometry", "steps", "indicators", "ledger")
"""The tables of a pretraining, in the order in which they are filled."""


OF_SCORES = frozenset({"score", "calibrated"})
"""Parts of the table ``indicators`` that are not of the pretraining but of what came after it."""


def is_pretrained(store: RunStore) -> bool:
    """Return whether a run folder holds a pretraining that has come to its end."""
    return bool(store.parts("ledger")) and is_whole(store, CHECKPOINT)


def take_over(store: RunStore, source: RunStore, settings: Settings) -> None:
    """Copy a finished pretraining into a run folder that has none yet; its checkpoint last.

    Args:
        store: The run folder that begins.
        source: The run folder that has been pretrained.
        settings: Of the run that begins.

    Raises:
        UserError: The source is not pretrained, or what it pretrained is not the same supernet.
    """
    refuse_foreign(source, settings)
    for table in PRETRAINING:
        store.copy_table(table, source)
    store.drop("indicators", OF_SCORES.__contains__)
    if source.has(SUPERNET):  # whose weights are not in the checkpoint
        store.write_bytes(SUPERNET, source.read_bytes(SUPERNET))
    store.write_bytes(CHECKPOINT, source.read_bytes(CHECKPOINT))


def refuse_foreign(source: RunStore, settings: Settings, facts: PlanFacts | None = None) -> None:
    """Refuse a run whose pretraining is not the one that is asked for.

    Args:
        source: Its run folder.
        settings: Of the run that begins.
        facts: What its plan made of images, space and settings; None: it has no plan yet.

    Raises:
        UserError: There is none, it has not ended, or it was another one.
    """
    recorded = source.rows("runs")
    if not recorded or not is_pretrained(source):
        raise UserError(
            f"--pretrained {source.uri}: wanted a run folder whose pretraining has ended, which "
            "runs without a supernet have none of; "
            "check the path, or leave the flag out"
        )
    before = PlanFacts.from_json(recorded[0]["plan"])
    differing = differences(recorded[0]["settings"], settings, decides_supernet)
    differing += differing_plans("pretraining", before, facts) if facts else []
    if differing:
        raise UserError(
            f"--pretrained {source.uri}: it trained another supernet ({'; '.join(differing)}); "
            "leave the flag out, or give the recorded settings"
        )
    if facts and (changed := changed_roles(before, facts)):
        raise UserError(f"--pretrained {source.uri}: {changed}; leave the flag out")
    for name, was, now in other_facts(before, facts) if facts else ():
        raise UserError(
            f"--pretrained {source.uri}: its images or its space were others ({name}: recorded "
            f"{was!r}, now {now!r}); leave the flag out, or bring the old ones back"
        )


def with_pretraining_of(source: RunStore, settings: Settings) -> Settings:
    """Return settings with a budget that pretrain as long as the run whose supernet they can have.

    How long is then left to the budget, and a supernet that is there takes none of it.

    Args:
        source: Another run's folder.
        settings: Of the run that begins.
    """
    rows, pretrain = source.rows("runs"), settings.pretrain
    if settings.budget is None or not pretrain.epochs or not rows or not is_pretrained(source):
        return settings
    epochs = Settings.from_json(rows[0]["settings"]).pretrain.epochs
    same = replace(settings, pretrain=replace(pretrain, epochs=epochs))
    return settings if differences(rows[0]["settings"], same, decides_supernet) else same


def forget_pretraining(store: RunStore) -> None:
    """Delete what a begun take-over has left in a run folder that now begins without one."""
    for path in (CHECKPOINT, SUPERNET):
        if store.has(path):
            store.delete(path)
    for table in PRETRAINING:
        store.drop(table, lambda _: True)
