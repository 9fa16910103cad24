"""The model card of an exported network: README.md, made of what its config.json says.

Front matter: Hugging Face's model cards (YAML), so that the folder can be uploaded as it is. A
licence is nobody's to choose but the user's, so it names none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raynas.costs.costs import show_bytes, show_quantity

Config = Mapping[str, Any]
_NAMED = 20  # classes that a card names with their counts


def model_card(config: Config) -> str:
    """Return the card of a network.

    Args:
        config: As ``raynas.export.exports`` writes it.
    """
    sections = (_front_matter, _head, _use, _data, _architecture, _history, _limits)
    return "\n\n".join("\n".join(section(config)) for section in sections) + "\n"


def _front_matter(config: Config) -> Iterator[str]:
    tags = ["image-classification", "neural-architecture-search", "raynas"]
    yield "---"
    yield "library_name: pytorch"
    yield "pipeline_tag: image-classification"
    yield f"tags: [{', '.join(tags + ['onnx'] * ('onnx' in config['files']))}]"
    yield "metrics: [accuracy]"
    tested = config["accuracy"].get("test")
    if tested:
        # JSON is YAML, and needs no care for what names may hold
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": config["data"]["name"], "type": config["data"]["name"]},
            "metrics": [{"type": "accuracy", "value": round(tested["accuracy"], 4)}],
        }
        index = [{"name": config["architecture"], "results": [result]}]
        yield f"model-index: {json.dumps(index)}"
    yield "# license: name one here; see Limits"
    yield "---"


def _head(config: Config) -> Iterator[str]:
    classes, shape = config["classes"], _shape(config["input"]["shape"][1:])
    data = config["data"]["name"]
    yield f"# A classifier of {data}: {config['space']} {config['architecture']}"
    yield ""
    yield (
        f"A convolutional network that tells {len(classes):,} classes apart in images of {shape} "
        f"(channels, height, width). raynas found its architecture and trained it on {data}."
    )
    yield ""
    yield from _table(("", ""), _facts(config))


def _facts(config: Config) -> Iterator[tuple[str, str]]:
    for part, note in (("test", "looked at once"), ("validation", "on which choices were made")):
        found = config["accuracy"].get(part)
        if not found:
            continue
        low, high = (f"{100 * end:.1f}" for end in found["interval"])
        interval = f"95 % interval {low} to {high} ({found['images']:,} images, {note})"
        yield f"accuracy, {part}", f"**{_percent(found['accuracy'])}**, {interval}"
        if found["balanced_accuracy"] is not None:
            mean = _percent(found["balanced_accuracy"])
            yield f"balanced accuracy, {part}", f"{mean} (mean over the classes)"
    yield "multiply-adds (MACs) of an image", f"{show_quantity(config['macs'])}"
    yield "parameters", f"{show_quantity(config['params'])}"
    yield "weights", show_bytes(config["weights_bytes"])


def _use(config: Config) -> Iterator[str]:
    yield "## Use it"
    if "module" in config["files"]:
        yield from _USE_MODULE
    if "onnx" in config["files"]:
        shape = config["input"]["shape"][1:]
        yield from (line.replace("SHAPE", f"N x {_shape(shape)}") for line in _USE_ONNX)
    yield from _USE_RAYNAS
    for name, why in config["left_out"].items():
        yield ""
        yield f"There is no `{name}`: {why}."
    yield ""
    yield "**Preprocessing.** " + _preprocessing(config["preprocessing"])


_USE_MODULE = """
From the command line, with torch, numpy, pillow and safetensors installed, without raynas:

    python model.py IMAGE...

In Python; `model.py` is made to be read and to be copied:

```python
from PIL import Image

import model

network = model.load()
print(model.classify(network, Image.open("image.jpg"))[:3])
```
""".rstrip().splitlines()

_USE_ONNX = """
In any ONNX runtime; `images` are SHAPE, preprocessed as below, and logits come out:

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(logits,) = session.run(["logits"], {"images": images})
```
""".rstrip().splitlines()

_USE_RAYNAS = """
With raynas at hand, images, folders or globs:

    python launch/predict.py EXPORT IMAGE...
""".rstrip().splitlines()


def _preprocessing(rules: Mapping[str, Any]) -> str:
    side, colour = rules["resolution"], "RGB" if rules["channels"] == 3 else "grey"
    depth = ""
    if bits := rules.get("bits"):
        depth = (
            f"take numbers of 16 bits as numbers of {bits} (white from {(1 << bits) - 1:,} on), "
        )
    mean, std = (", ".join(f"{value:.4f}" for value in rules[name]) for name in ("mean", "std"))
    return (
        f"Turn the image as its EXIF header says, put it on white where it is transparent, {depth}"
        f"make it {colour}, cut out the middle square, resize that to {side} x {side} pixels "
        f"(bilinear), divide by 255, subtract {mean} and divide by {std}. `model.preprocess` does "
        "it; `config.json` has the exact numbers."
    )


def _data(config: Config) -> Iterator[str]:
    data, classes = config["data"], config["classes"]
    yield "## Data"
    yield ""
    sizes = ", ".join(f"{data[part]:,} for {use}" for part, use in _PARTS.items())
    yield f"{data['name']}: {sizes}, {len(classes):,} classes."
    if data["skipped"]:
        yield f"{data['skipped']:,} images could not be read and were skipped."
    yield ""
    counts = data["class_counts"]
    if counts and len(classes) <= _NAMED:
        columns = (counts[part] for part in _PARTS)
        rows = zip(classes, *([f"{count:,}" for count in each] for each in columns), strict=True)
        yield from _table(("class", *_PARTS), rows)
    else:
        few = ", ".join(classes[:_NAMED])
        more = len(classes) - _NAMED
        yield f"Classes: {few}" + (f" and {more:,} more, in `config.json`." if more > 0 else ".")


_PARTS = {"train": "training", "val": "validation", "test": "the test"}


def _architecture(config: Config) -> Iterator[str]:
    yield "## Architecture"
    yield ""
    rows = [
        (
            layer["name"],
            layer["operation"],
            _shape(layer["input"]),
            _shape(layer["output"]),
            show_quantity(layer["macs"]),
            show_quantity(layer["params"]),
        )
        for layer in config["layers"]
    ]
    yield from _table(("part", "operation", "input", "output", "MACs", "parameters"), rows)
    if config.get("genotype"):
        yield ""
        yield "What is in the cells; `sep3(0)` is an operation on the output of the cell before the"
        yield "last one, (1) on that of the last one, (2) on the first node:"
        yield ""
        yield from (f"    {cell}" for cell in config["genotype"].split("; "))


def _history(config: Config) -> Iterator[str]:
    found = config["found_by"]
    settings = found["settings"]
    limits = [
        f"{show_quantity(settings[name])} {unit}"
        for name, unit in (("max_macs", "MACs"), ("max_params", "parameters"))
        if settings.get(name)
    ]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    commit = f" (commit {found['git_commit'][:12]})" if found["git_commit"] else ""
    yield "## How it was found"
    yield ""
    yield f"- method {found['method']}, score {found['score']}, search {found['search']}"
    yield f"- search space {config['space']}, limits: {' and '.join(limits) or 'none'}"
    if found["rank"]:
        yield (
            f"- rank {found['rank']} of {found['networks']} networks that were trained, "
            "by validation accuracy"
        )
    yield (
        f"- trained from scratch for {found['epochs']} epochs with batches of "
        f"{settings['retrain']['batch']}, seed {found['seed']}"
    )
    yield f"- run {found['run']}{commit}; {versions}"
    yield ""
    yield "All settings are in `config.json`."


def _limits(config: Config) -> Iterator[str]:
    checks = config["checks"]
    yield "## Limits"
    yield ""
    yield (
        f"- It was tested on the test part of {config['data']['name']} alone. Shown anything else, "
        "it still answers with one of its classes."
    )
    yield "- Its probabilities were not calibrated; training smoothed the labels."
    if config["found_by"]["networks"] > 1:
        yield (
            "- The validation accuracy is that of a choice among several, so it tends to be too "
            "high; the test accuracy is not, unless you choose by it."
        )
    for name, of in (("module", "`model.py`"), ("onnx", "`model.onnx` in onnxruntime")):
        if name in checks:
            most = f"equal, but for at most {checks[name]:.1g}," if checks[name] else "equal"
            yield (
                f"- Outputs of {of} {most} those of the network as it was trained, on "
                f"{checks['images']}."
            )
    yield (
        "- Licence: none is named. It is yours to choose, as far as the licence of the training "
        "images allows."
    )


def _table(names: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
