"""What an export says of a network's accuracy."""

from typing import Any

from raynas.reporting.confidence import wilson
from raynas.storage.plan_facts import PlanFacts

Row = dict[str, Any]


def accuracies_of(outcome: Row, facts: PlanFacts) -> Row:
    """Return what is known of the accuracy on each part, with Wilson's interval."""
    found = {}
    for name, part in (("test", "test"), ("validation", "val")):
        accuracy = outcome[f"{part}_accuracy"]
        images = outcome.get(f"{part}_images") or getattr(facts, part)
        if accuracy is not None:
            found[name] = {
                "accuracy": accuracy,
                "interval": wilson(accuracy, images),
                "images": images,
                "balanced_accuracy": outcome.get(f"{part}_balanced_accuracy"),
            }
    return found
