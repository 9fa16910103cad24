"""What a person takes home: each trained network as a folder that needs no raynas.

``exports/ARCHITECTURE/`` holds ``model.py``, ``weights.safetensors``, ``model.onnx``,
``model.int8.onnx``, the model card ``README.md`` and, written last, ``config.json``: where that is,
the export is whole.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import safetensors.torch
import torch
from torch import nn

from raynas.costs.latency_table import Task
from raynas.data.dataset import Dataset
from raynas.export import onnx
from raynas.export.accuracies import accuracies_of
from raynas.export.confidences import confidences_of, verdict_of
from raynas.export.forward_source import SourceError
from raynas.export.int8 import int8_of
from raynas.export.model_card import model_card
from raynas.export.module_source import largest_difference, module_source
from raynas.export.onnx_files import OnnxFiles, Quantise, onnx_files
from raynas.export.parts import Part, show_shape, whole_part
from raynas.export.provenance import data_of, found_by
from raynas.export.rivals import chosen_network, is_rival, parts_of_chosen
from raynas.nets.rivals import Rival
from raynas.recording.rows import versions
from raynas.reporting.rivals import rival_words
from raynas.settings.export import ExportSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.folder import Folder
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import read_model
from raynas.training.new_network import new_network

FORMAT = 1  # of config.json
_FILES = {
    "module": "model.py",
    "weights": "weights.safetensors",
    "onnx": "model.onnx",
    "int8": "model.int8.onnx",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Exports:
    """The exports of a run.

    Attributes:
        store: The run folder.
        space: The space that was searched, with identity where it had it.
        facts: What the run recorded of its data, ``runs.plan``.
        images: N x C x H x W, normalised, to compare outputs on.
        source: What these images are, for people.
        folder: Where exports are written.
        prefix: The folder of all exports therein, with a slash, or nothing.
        with_onnx: Whether ONNX files are wanted.
        dataset: The images of the run, for model.int8.onnx; None: they are not at hand.
        settings: How exports are made; None: as the run's settings say.
    """

    store: RunStore
    space: Space
    facts: PlanFacts
    images: torch.Tensor
    source: str
    folder: Folder
    prefix: str = "exports/"
    with_onnx: bool = True
    dataset: Dataset | None = None
    settings: ExportSettings | None = None

    @cached_property
    def _run(self) -> Row:
        return self.store.rows("runs")[0]

    @cached_property
    def _outcomes(self) -> list[Row]:
        return self.store.rows("outcomes")

    def place(self, architecture: str) -> str:
        """Return where the export of an architecture lies, for people."""
        return self.folder.locate(f"{self.prefix}{architecture}")

    def is_made(self, outcome: Row) -> bool:
        """Return whether the folder holds the whole export of an outcome as it is now."""
        folder = f"{self.prefix}{outcome['architecture']}"
        try:
            config = json.loads(self.folder.read_bytes(f"{folder}/config.json"))
            sizes = {name: self.folder.head(f"{folder}/{name}", 0)[1] for name in config["bytes"]}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False
        return bool(config["made_of"] == self._made_of(outcome) and sizes == config["bytes"])

    def make(self, outcome: Row) -> list[str]:
        """Write the export of a finished outcome.

        Returns:
            A sentence for each file that is left out, and one on what INT8 loses and gains.

        Raises:
            UserError: Its weights are lost or damaged.
            KeyError, RuntimeError: They do not fit the space.
        """
        weights = read_model(self.store, outcome["checkpoint"])
        parts, network = self._network(outcome, weights)
        with torch.no_grad():
            logits = network(self.images)
        named = safetensors.torch.save(network.state_dict(), metadata={"format": "pt"})
        files = {"weights": named}
        checks: Row = {"images": f"{len(self.images)} {self.source}"}
        left_out: dict[str, str] = {}
        try:
            source = module_source(self._title(outcome), parts, self._constants(outcome))
            checks["module"] = largest_difference(source, named, self.images, logits)
            files["module"] = source.encode()
        except SourceError as error:
            left_out["model.py"] = str(error)
        made = OnnxFiles()
        if self.with_onnx:
            made = onnx_files(network, self.images, logits, self._quantise())
        files, checks, left_out = files | made.files, checks | made.checks, left_out | made.left_out
        config = self._config(outcome, parts, files) | {"checks": checks, "left_out": left_out}
        config["int8"] = made.int8 and made.int8.to_row()
        self._write(outcome["architecture"], files, config)
        said = _reasons(left_out)
        said += [made.int8.sentence] if made.int8 else []
        return [f"{outcome['architecture']}: {sentence}" for sentence in said]

    def _quantise(self) -> Quantise | None:
        """Return what makes model.int8.onnx of model.onnx; None: it is not wanted."""
        if not self._export.int8:
            return None
        seed, most = self._run["seed"], self._export.max_drop
        return lambda content: int8_of(content, self.dataset, seed, most)

    @property
    def _export(self) -> ExportSettings:
        return self.settings or self._settings.export

    def _network(self, outcome: Row, weights: bytes) -> tuple[list[Part], nn.Sequential]:
        facts, dropout = self.facts, self._settings.retrain.dropout
        chosen = chosen_network(outcome)
        task = Task(facts.channels, facts.resolution, len(facts.classes))
        with torch.random.fork_rng(devices=[]):
            network = new_network(self.space, chosen, task, dropout).eval()
        network.load_state_dict(safetensors.torch.load(weights))
        if isinstance(chosen, Rival):
            parts = [whole_part(network, str(chosen), self._image)]
        else:
            assert isinstance(network, nn.Sequential), "a network of the space, or made of one"
            parts = parts_of_chosen(network, self.space, chosen, self._image)
        return parts, nn.Sequential(OrderedDict((part.name, part.module) for part in parts)).eval()

    def _title(self, outcome: Row) -> str:
        classes, shape = len(self.facts.classes), show_shape(self._image)
        which = outcome.get("network") or (
            f"Search space {self.space.name}, architecture {outcome['architecture']}"
        )
        return f"Tells {classes} classes apart in images of {shape} pixels.\n\n{which}."

    @property
    def _image(self) -> tuple[int, int, int]:
        side = self.facts.resolution
        return self.facts.channels, side, side

    @property
    def _settings(self) -> Settings:
        return Settings.from_json(self._run["settings"])

    def _constants(self, outcome: Row) -> Row:
        facts = self.facts
        return {
            **{name.upper(): tuple(getattr(facts, name)) for name in ("classes", "mean", "std")},
            **{name.upper(): getattr(facts, name) for name in ("resolution", "channels")},
            "BITS": self._settings.images.bits,
            "RATIO": facts.evaluation_ratio,
            "TEMPERATURE": outcome.get("temperature") or 1.0,
        }

    def _config(self, outcome: Row, parts: Sequence[Part], files: dict[str, bytes]) -> Row:
        facts, settings = self.facts, self._settings
        networks = len({row["architecture"] for row in self._outcomes})
        return {
            "format": FORMAT,
            "architecture": outcome["architecture"],
            "space": None if is_rival(outcome) else self.space.name,
            "network": outcome.get("network"),
            "rival": rival_words(outcome) if "rival" in outcome else None,
            "genotype": self._genotype(outcome),
            "classes": facts.classes,
            "input": {"name": "images", "shape": ["N", *self._image]},
            "output": {"name": "logits", "shape": ["N", len(facts.classes)]},
            "preprocessing": self._preprocessing(),
            "accuracy": accuracies_of(outcome, facts),
            **confidences_of(self.store, outcome),
            **{name: outcome.get(name) for name in ("macs", "params", "measured_ms")},
            "layers": [part.to_row() for part in parts],
            "data": data_of(facts, settings),
            "found_by": found_by(self._run, settings, outcome, networks),
            "export": asdict(self._export),
            "exported_with": versions("torch", "onnx", "onnxscript", "onnxruntime"),
            "files": {name: _FILES[name] for name in _FILES if name in files},
            "weights_bytes": len(files["weights"]),
            "bytes": {_FILES[name]: len(content) for name, content in files.items()},
            "made_of": self._made_of(outcome),
        }

    def _preprocessing(self) -> Row:
        """Return how an image becomes what the network takes."""
        facts = self.facts
        return {
            "resolution": facts.resolution,
            "channels": facts.channels,
            "mean": facts.mean,
            "std": facts.std,
            "bits": self._settings.images.bits,
            "crop": "middle square",
            "ratio": facts.evaluation_ratio,
            "resize": "bilinear",
        }

    def _genotype(self, outcome: Row) -> str | None:
        """Return what is in the cells of a network, for people; None: it has none."""
        chosen = chosen_network(outcome)
        return self.space.genotype_text(chosen) if isinstance(chosen, Architecture) else None

    def _made_of(self, outcome: Row) -> str:
        """Return letters that differ where an export has to be made anew."""
        wanted = "onnx" if self.with_onnx and not onnx.missing_packages() else ""
        beside = verdict_of(self.store, outcome)
        known = [FORMAT, outcome, len(self._outcomes), asdict(self.facts), wanted, beside]
        if wanted and self._export.int8:
            known += [asdict(self._export), self.dataset is not None]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    def _write(self, architecture: str, files: dict[str, bytes], config: Row) -> None:
        """Write the files, config.json last, and remove what an earlier export had besides."""
        texts = {"README.md": model_card(config), "config.json": json.dumps(config, indent=1)}
        contents = {_FILES[name]: content for name, content in files.items()}
        contents |= {name: text.encode(errors="backslashreplace") for name, text in texts.items()}
        folder = f"{self.prefix}{architecture}"
        for name in _FILES.values():
            if name not in contents and self.folder.has(f"{folder}/{name}"):
                self.folder.delete(f"{folder}/{name}")
        for name, content in contents.items():
            self.folder.write_bytes(f"{folder}/{name}", content)


def _reasons(left_out: dict[str, str]) -> list[str]:
    """Return why there are no files, those that have one reason together."""
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(name)
    return [f"no {' and no '.join(each)}, {why}" for why, each in names.items()]
