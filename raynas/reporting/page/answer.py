"""The page's first words: the best network, how exactly its accuracy is known, how to use it."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from raynas.costs.costs import show_bytes, show_quantity
from raynas.reporting.confidence import wilson
from raynas.reporting.page.parts import is_missing, percent
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.reporting.rivals import verdict
from raynas.spaces.genotype import Genotype
from raynas.storage.outcome_rows import is_on_all, networks_of


@dataclass(frozen=True)
class Accuracy:
    """An accuracy and how exactly it is known.

    Attributes:
        part: Of the images: test or validation.
        share: In [0, 1].
        images: On which it was measured; 0 where that is not recorded.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    part: str
    share: float
    images: int
    low: float
    high: float

    @property
    def interval(self) -> str:
        """What a person may believe of it, in a sentence."""
        if not self.images:
            return f"On how many {self.part} images it was measured is not recorded."
        return (
            f"Between {100 * self.low:.1f} and {100 * self.high:.1f} % with 95 % confidence, "
            f"measured on {self.images:,} {self.part} images."
        )


@dataclass(frozen=True)
class Answer:
    """What the run found.

    Attributes:
        architecture: Of the best network.
        accuracy: On test images if they were looked at, else on validation images.
        facts: Names and values of further numbers.
        layers: The operation of each layer.
        doubt: A sentence on how it compares with the other networks.
        better: A sentence on a rival that is more accurate, or an empty text.
        commands: Lines of a shell that use it.
        python: Lines of Python that use it.
        note: What has to be done before they work, or an empty text.
    """

    architecture: str
    accuracy: Accuracy
    facts: list[tuple[str, str]]
    layers: list[str]
    doubt: str
    better: str
    commands: list[str]
    python: list[str]
    note: str


def accuracy_of(outcome: dict[str, Any], snapshot: RunSnapshot) -> Accuracy:
    """Return the accuracy of a finished outcome that counts most."""
    part = "validation" if is_missing(outcome["test_accuracy"]) else "test"
    short = {"validation": "val", "test": "test"}[part]
    share = outcome[f"{short}_accuracy"]
    images = outcome.get(f"{short}_images") or getattr(snapshot.plan, short)
    return Accuracy(part, share, images, *wilson(share, images))


def answer(snapshot: RunSnapshot) -> Answer | None:
    """Return the answer of a run; None as long as no network was trained to its end."""
    best = snapshot.best
    if best is None or (is_missing(best["val_accuracy"]) and is_missing(best["test_accuracy"])):
        return None
    accuracy = accuracy_of(best, snapshot)
    commands, python, note = _use(best, snapshot)
    return Answer(
        best["architecture"],
        accuracy,
        _facts(best, accuracy, _exported(best["architecture"], snapshot)),
        _layers(best, snapshot),
        _doubt(best, accuracy, snapshot),
        _better(snapshot),
        commands,
        python,
        note,
    )


def _layers(best: dict[str, Any], snapshot: RunSnapshot) -> list[str]:
    """Return what is chosen layer by layer, or node by node of a normal and a reduction cell."""
    if best.get("genotype") is not None:
        found = Genotype.parse(best["genotype"])
        cells = {"normal": found.normal, "reduction": found.reduction}
        return [f"{cell} {a} + {b}" for cell, nodes in cells.items() for a, b in nodes]
    choices = [int(choice) for choice in best["architecture"].split("-")]
    exported = _exported_layers(_exported(best["architecture"], snapshot))
    if len(exported) == len(choices):
        return exported
    return [
        snapshot.operations.get((layer, choice), f"candidate {choice}")
        for layer, choice in enumerate(choices)
    ]


def _exported_layers(config: dict[str, Any]) -> list[str]:
    """Return the operations that an export names, between stem and head; none: there is none.

    Runs that pretrain nothing have no table that names them.
    """
    try:
        return [str(layer["operation"]) for layer in config["layers"][1:-1]]
    except (KeyError, TypeError):
        return []


def _exported(architecture: str, snapshot: RunSnapshot) -> dict[str, Any]:
    """Return what the export of a network says of it; nothing: there is none."""
    try:
        config = json.loads(snapshot.store.read_bytes(f"exports/{architecture}/config.json"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _facts(
    best: dict[str, Any], accuracy: Accuracy, config: dict[str, Any]
) -> list[tuple[str, str]]:
    latency, measured = best.get("latency_ms"), best.get("measured_ms")
    shown = {
        "Multiply-adds of one image": show_quantity(best["macs"]),
        "Parameters": show_quantity(best["params"]),
        "Latency by the table": None if latency is None else f"{latency:.3g} ms",
        "Time of one image": None
        if measured is None
        else f"{measured:.3g} ms in torch on one CPU thread",
        "Validation accuracy": percent(best["val_accuracy"]) if accuracy.part == "test" else None,
        "Trained on": "all training and validation images" if is_on_all(best) else None,
        "Balanced test accuracy": _known(best.get("test_balanced_accuracy")),
        "Balanced validation accuracy": _known(best.get("val_balanced_accuracy")),
        "Score of the search": None if is_missing(best["score"]) else f"{best['score']:.4f}",
        "Epochs": str(best["epochs"]),
        "In whole numbers of 8 bits": _int8(config),
    }
    return [(name, text) for name, text in shown.items() if text is not None]


def _int8(config: dict[str, Any]) -> str | None:
    """Return what model.int8.onnx loses and gains, or why there is none; None: nothing is said."""
    found = config.get("int8")
    if not found:
        why = config.get("left_out", {}).get("model.int8.onnx")
        return why and f"left out: {why}"
    test = found["test"]
    low, high = (100 * end for end in test["interval"])
    return (
        f"{percent(test['accuracy'])} of {test['images']:,} test images, "
        f"{100 * test['difference']:+.2f} points ({low:+.2f} to {high:+.2f}); "
        f"{show_bytes(found['bytes'])}, before {show_bytes(found['float_bytes'])}; "
        f"{found['latency_ms']:.3g} ms an image, before {found['float_latency_ms']:.3g} ms"
    )


def _known(share: float | None) -> str | None:
    return None if share is None else percent(share)


def _doubt(best: dict[str, Any], accuracy: Accuracy, snapshot: RunSnapshot) -> str:
    """Say how many of the other networks may well be as good."""
    column = "test_accuracy" if accuracy.part == "test" else "val_accuracy"
    others = [
        row[column]
        for row in networks_of(snapshot.outcomes)
        if row["architecture"] != best["architecture"] and not is_missing(row[column])
    ]
    if not others:
        return "It is the only network that was trained to its end."
    chosen = f"It was chosen of {len(others) + 1:,} by its validation accuracy."
    if is_on_all(best):
        chosen += " Then it was trained once more, on the validation images as well."
    alike = sum(accuracy.low <= share <= accuracy.high for share in others)
    if not alike or not accuracy.images:
        return chosen
    which = (
        "the other one" if len(others) == alike == 1 else f"{alike:,} of the {len(others):,} others"
    )
    return (
        f"{chosen} The {accuracy.part} accuracy of {which} lies within this interval: "
        f"{accuracy.images:,} images do not tell them apart."
    )


def _better(snapshot: RunSnapshot) -> str:
    """Say it first if a network that nobody had to search for is more accurate."""
    found = verdict(snapshot.store)
    return found.paragraph if found and found.rival_wins else ""


def _use(best: dict[str, Any], snapshot: RunSnapshot) -> tuple[list[str], list[str], str]:
    """Return commands and Python that use the best network, and what they need."""
    store, folder = snapshot.store, f"exports/{best['architecture']}"
    place = store.locate(folder)
    commands = [f"python launch/predict.py {shlex.quote(place)} IMAGE..."]
    note = ""
    if not store.has(f"{folder}/config.json"):  # written last
        own = str(snapshot.run["space"])
        words = ["python", "launch/export.py", store.uri]
        commands.insert(0, shlex.join([*words, "--space", own] if own.endswith(".py") else words))
        note = "It is not exported yet: the first of these commands does that."
    is_local = store.local_folder is not None
    python = [
        f"import sys; sys.path.insert(0, {(place if is_local else best['architecture'])!r})",
        "import model; from PIL import Image",
        'print(model.classify(model.load(), Image.open("image.jpg"))[:3])',
    ]
    if not is_local:
        note = f"{note} Python needs a copy of the export in the working folder.".strip()
    return commands, python, note
