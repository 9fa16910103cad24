"""Teachers by what a person calls them: an export, a run, an ONNX file, or one that a run kept.

Names of libraries are no trained networks for a run's classes: a run trains them first.
"""

import difflib
from typing import NoReturn

import safetensors.torch
import torch

from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.rivals import TIMM, known_names
from raynas.settings.settings import Settings
from raynas.spaces.digest import refuse_other_space
from raynas.spaces.loading import SPACES, names_in
from raynas.spaces.protocol import Space
from raynas.storage.folder import Folder
from raynas.storage.outcome_rows import networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RUN_COPY, RunStore
from raynas.storage.uris import shown, split
from raynas.training.checkpoints import read_model
from raynas.training.exported_teachers import CONFIG, config_of, facts_of, of_export
from raynas.training.onnx_network import OnnxNetwork
from raynas.training.starts.checkpoint_files import ENDINGS
from raynas.training.teacher import Teacher
from raynas.training.teacher_file import TeacherFacts, as_tensor, opened
from raynas.training.trained_networks import recorded_space

_KINDS = (
    "an export or a run of raynas, an ONNX file, a network of torchvision or timm, or start, the "
    "network of --start"
)

_EXPORT_AGAIN = "export it again as one file, for any number of images"

_NO_RUNTIME = "onnxruntime is not installed; pip install 'raynas[onnx]'"


def is_trained_first(source: str) -> bool:
    """Return whether a teacher is a network of a library by name, which knows other classes."""
    return source in known_names() or source.startswith(TIMM)


def open_teacher(source: str, dataset: Dataset, space: Space) -> Teacher:
    """Return a trained network that knows the classes of a run.

    Args:
        source: A path or URI of an export, a run, an ONNX file or a teacher that a run kept.
        dataset: The images of the run.
        space: Its space, before identity is added: the teacher may be of that one, too.

    Raises:
        UserError: There is none, it cannot be read, or it is for other classes or channels.
    """
    teacher = opened(_content(source, dataset, space), shown(source), space)
    _refuse_misfit(teacher, source, dataset)
    return teacher


def _content(source: str, dataset: Dataset, space: Space) -> bytes:
    """Return the file of a teacher."""
    folder, name = split(source)
    try:
        if name.lower().endswith(".onnx"):
            return _of_graph(source, dataset)
        if name.lower().endswith(".safetensors"):
            return Folder(folder).read_bytes(name)
        if name.lower().endswith(ENDINGS):
            _refuse(source, f"weights alone do not say of which network they are; wanted {_KINDS}")
        if Folder(source).has(CONFIG):
            return of_export(Folder(source), source, space)
    except FileNotFoundError as error:
        _refuse(source, f"a file is missing ({error}); check the path", error)
    store = RunStore(source)
    if not (store.has(RUN_COPY) or store.parts("runs")):
        near = difflib.get_close_matches(source, known_names(), n=1)
        hint = f"did you mean {near[0]}? Wanted is {_KINDS}" if near else f"wanted {_KINDS}"
        _refuse(source, f"there is nothing of that name; {hint}")
    return _of_run(source, space)


def _refuse(source: str, why: str, error: Exception | None = None) -> NoReturn:
    raise UserError(f"--retrain.teacher {shown(source)}: {why}") from error


def _of_graph(source: str, dataset: Dataset) -> bytes:
    """Return the file of a teacher that is an ONNX file, perhaps that of an export."""
    folder, name = split(source)
    beside = Folder(folder)
    graph = beside.read_bytes(name)
    try:
        return facts_of(config_of(beside)).packed(as_tensor(graph))
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # it is of no export
        network = _runnable(graph, source)
    facts = TeacherFacts(
        name=f"{name}, whose outputs are taken in the order of the classes",
        classes=dataset.class_names,
        channels=network.channels or dataset.channels,
        resolution=network.side or dataset.resolution,
        mean=tuple(dataset.mean.tolist()),
        std=tuple(dataset.std.tolist()),
    )
    return facts.packed(as_tensor(graph))


def _runnable(graph: bytes, source: str) -> OnnxNetwork:
    try:
        return OnnxNetwork(graph)
    except ImportError as error:
        _refuse(source, _NO_RUNTIME, error)
    except Exception as error:  # noqa: BLE001 - whatever onnxruntime raises
        _refuse(
            source, f"onnxruntime cannot load it ({_first_line(error)}); {_EXPORT_AGAIN}", error
        )


def _of_run(source: str, space: Space) -> bytes:
    """Return the file of a teacher that is the best network of a run.

    Raises:
        UserError: It has none, its weights are lost, or its space is not there.
    """
    store = RunStore.open(source)
    networks = networks_of(store.rows("outcomes"))
    if not networks:
        _refuse(source, "no network of that run was trained to its end; continue it first")
    row, best = store.rows("runs")[0], networks[0]
    facts = PlanFacts.from_json(row["plan"])
    if facts.mean is None or facts.std is None:
        _refuse(source, "an older raynas recorded no mean of its images; name one of its exports")
    settings = Settings.from_json(row["settings"])
    shipped = row["space"] if row["space"] in names_in(SPACES) else None
    if shipped is None:
        refuse_other_space(facts.space_digest, space, f"--retrain.teacher {store.uri}")
    else:
        space = recorded_space(store)  # refused where it is another one by now
    weights = safetensors.torch.load(read_model(store, best["checkpoint"]))
    return TeacherFacts(
        name=f"{best['architecture']} of the run {store.name}",
        classes=tuple(facts.classes),
        channels=facts.channels,
        resolution=facts.resolution,
        mean=tuple(facts.mean),
        std=tuple(facts.std),
        architecture=best["architecture"],
        space=space.name,
        shipped=shipped,
        layer_indicator=settings.pretrain.layer_indicator,
    ).packed(weights)


def _refuse_misfit(teacher: Teacher, source: str, dataset: Dataset) -> None:
    """Refuse a teacher of other images or classes, and one that computes no logits of them."""
    if teacher.channels != dataset.channels:
        _refuse(
            source,
            f"it takes images of {teacher.channels} channels, and these have {dataset.channels}; "
            "choose a teacher that was trained on such images",
        )
    if teacher.classes != dataset.class_names:
        _refuse(
            source,
            f"{_difference(teacher.classes, dataset.class_names)}; choose a teacher of the same "
            "classes in the same order",
        )
    shape = 2, dataset.channels, dataset.resolution, dataset.resolution
    try:
        logits = teacher.on(torch.device("cpu"), dataset)(torch.zeros(shape))
    except ImportError as error:
        _refuse(source, _NO_RUNTIME, error)
    except Exception as error:  # noqa: BLE001 - whatever a network or onnxruntime raises
        _refuse(
            source, f"it cannot take two such images ({_first_line(error)}); {_EXPORT_AGAIN}", error
        )
    if logits.shape != (2, dataset.num_classes):
        _refuse(
            source,
            f"it answers two images with numbers of shape {tuple(logits.shape)}, wanted "
            f"{(2, dataset.num_classes)}: one number a class",
        )


def _difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """Return in what classes differ."""
    if len(theirs) != len(ours):
        return f"it has {len(theirs)} classes, and the images have {len(ours)}"
    number = next(n for n, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    return f"its class {number} is {theirs[number]!r}, and that of the images {ours[number]!r}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
