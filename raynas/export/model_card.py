"""The model card of an exported network: README.md, made of what its config.json says.

Front matter: Hugging Face's model cards (YAML), so that the folder can be uploaded as it is. A
licence is nobody's to choose but the user's, so it names none.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import jinja2

from raynas.costs.costs import Limits, show_bytes, show_quantity

Config = Mapping[str, Any]
_LATER = dict.fromkeys(
    ("genotype", "temperature", "calibration", "verdict", "int8", "rival", "measured_ms")
)


def model_card(config: Config) -> str:
    """Return the card of a network, by the template ``model_card.md.jinja``.

    Args:
        config: As ``raynas.export.exports`` writes it.
    """
    template = _environment().get_template("model_card.md.jinja")
    return template.render(
        {**_LATER, **config},
        model_index=json.dumps(_model_index(config)),
        image_shape=_shape(config["input"]["shape"][1:]),
        limits=_limits(config["found_by"]["settings"]),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 - Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    filters: dict[str, Callable[..., str]] = {
        "bytes": show_bytes,
        "cell": lambda text: text.replace("|", "&#124;"),
        "numbers": lambda values: ", ".join(f"{value:.4f}" for value in values),
        "percent": lambda share: f"{100 * share:.1f} %",
        "quantity": show_quantity,
        "shape": _shape,
    }
    environment.filters |= filters
    return environment


def _model_index(config: Config) -> list[dict[str, Any]]:
    """Return what Hugging Face shows of the test; JSON is YAML, whatever names may hold."""
    tested, name = config["accuracy"].get("test"), config["data"]["name"]
    if not tested:
        return []
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": name, "type": name},
        "metrics": [{"type": "accuracy", "value": round(tested["accuracy"], 4)}],
    }
    return [{"name": config["architecture"], "results": [result]}]


def _limits(settings: Mapping[str, Any]) -> list[str]:
    return Limits(**{item.name: settings.get(item.name) for item in fields(Limits)}).words


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
