"""Which images serve for what, where the names of the data's parts do not say it."""

from raynas.settings.images import ImageSettings
from raynas.storage.plan_facts import PlanFacts


def role_words(facts: PlanFacts) -> str:
    """Return what named validation images serve for, if that is the test; else nothing."""
    if not facts.keeps_val:
        return ""
    return (
        "val/ is kept for the final test; choices are made on "
        f"{facts.val:,} images cut off train/, at most 50 of each class"
    )


def role_warnings(facts: PlanFacts, images: ImageSettings) -> list[str]:
    """Return a sentence on a share for the test by which nothing is cut.

    Args:
        facts: What the run has read of its data.
        images: What was asked for.
    """
    if not facts.keeps_val or images.test_fraction == ImageSettings().test_fraction:
        return []
    given = f"--images.test-fraction {images.test_fraction:g}"
    return [f"{given} is not used: the data have val/ and no test/, so val/ is the test"]
