"""What a run was made of: images, space, cluster, versions, in words for the page."""

import json

from raynas.reporting.class_balance import class_warnings, class_words
from raynas.reporting.page.run_snapshot import RunSnapshot, moment
from raynas.reporting.part_roles import role_words
from raynas.reporting.trained_words import trained_words
from raynas.storage.plan_facts import PlanFacts

_MOST_CLASSES = 20  # that are named
_PARTS = {"train": "training", "val": "validation", "test": "test"}


def about(snapshot: RunSnapshot) -> list[tuple[str, str]]:
    """Return names and texts, without those that are not known."""
    run, plan = snapshot.run, snapshot.plan
    machines = [(run["nodes"], "node"), (run["cpus"], "CPU"), (run["gpus"], "GPU")]
    versions = json.loads(run["versions"] or "{}")
    rows = {
        "Run folder": snapshot.store.uri,
        "Data": snapshot.settings.data if run["settings"] else None,
        **_images(plan),
        "Space": run["space"],
        "Method": run["method"],
        "Recipe": snapshot.settings.recipe,
        "Seed": run["seed"],
        "What learns in the supernet": _trained(snapshot),
        "Supernet taken from": run["pretrained"],
        "Cluster": ", ".join(
            f"{count:g} {name}{'s' * (count != 1)}" for count, name in machines if count is not None
        ),
        "Started": moment(run["started"]),
        "Finished": moment(run["finished"]) if run["finished"] else None,
        "Versions": ", ".join(f"{name} {of}" for name, of in versions.items()),
        "Source commit": run["git_commit"],
    }
    return [(name, str(text)) for name, text in rows.items() if text not in {None, ""}]


def _trained(snapshot: RunSnapshot) -> str | None:
    if not snapshot.pretrains:
        return None
    pretrain, numbers = snapshot.settings.pretrain, snapshot.plan.trained_numbers
    return trained_words(pretrain.trainable, pretrain.trains_classifier, numbers)


def _images(plan: PlanFacts) -> dict[str, str]:
    """Return what the run had read of its data; nothing where it has not recorded that."""
    if not plan.classes:
        return {}
    known = [(getattr(plan, part), name) for part, name in _PARTS.items()]
    counts = [f"{count:,} {name}" for count, name in known if count]
    skipped = len(plan.skipped)
    classes = [str(name) for name in plan.classes]
    more = f" and {len(classes) - _MOST_CLASSES} more" * (len(classes) > _MOST_CLASSES)
    size = plan.resolution
    return {
        "Images": ", ".join(counts) + (f"; {skipped} could not be read" if skipped else ""),
        "Parts": role_words(plan),
        "Size of an image": f"{plan.channels} x {size} x {size}",
        "Classes": f"{len(classes)}: {', '.join(classes[:_MOST_CLASSES])}{more}",
        "Images of a class": " ".join([class_words(plan), *class_warnings(plan)]).strip(),
    }
