"""The teacher of a plan: what it says, what a run keeps of it, what is refused before trainings."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from raynas.cluster.planning.teachers import PlannedTeacher, plan_teacher
from raynas.costs.latency_table import Task
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.rivals import Rival
from raynas.settings.retrain import RetrainSettings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.starts.library_weights import LibraryWeights
from raynas.training.teacher import TorchNetwork
from raynas.training.teacher_file import TEACHER, TeacherFacts, read_teacher
from raynas.training.trained_networks import searched_space
from tests.builders import build_space, shipped_space
from tests.data.samples import build_dataset
from tests.training.starts.conftest import build_start

DATASET = build_dataset(side=32)
SPACE = shipped_space("small_mobile")
RESIDUAL = build_space("RN")


def write_teacher(path: Path, seed: int = 0) -> None:
    """Write a teacher as runs keep them."""
    torch.manual_seed(seed)
    rival = Rival("shufflenet_v2_x0_5")
    network = rival.build(Task(DATASET.channels, DATASET.resolution, DATASET.num_classes))
    facts = TeacherFacts(
        name="a shuffle net",
        classes=DATASET.class_names,
        channels=3,
        resolution=32,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        rival=str(rival),
    )
    path.write_bytes(facts.packed(network.state_dict()))


def planned(
    source: str, store: RunStore, recorded: PlanFacts | None = None
) -> PlannedTeacher | None:
    return plan_teacher(RetrainSettings(teacher=source), DATASET, SPACE, store, recorded)


def test_a_run_whose_teacher_is_another_file_by_now_is_not_continued(tmp_path: Path) -> None:
    file, store = tmp_path / "mine.safetensors", RunStore.create(str(tmp_path / "run"))
    write_teacher(file)
    first = planned(str(file), store)
    assert first is not None
    assert first.opened is not None
    recorded = PlanFacts(teacher=first.recorded)
    store.write_bytes(TEACHER, first.opened.content)

    assert planned(str(file), store, recorded) is not None
    write_teacher(file, seed=1)
    with pytest.raises(UserError, match=r"the run folder has recorded another network \(digest"):
        planned(str(file), store, recorded)
    file.unlink()  # the run's copy serves
    copied = planned(str(file), store, recorded)
    assert copied is not None
    assert copied.recorded == first.recorded
    assert planned(str(file), store, replace(recorded)) is not None
    with pytest.raises(UserError, match="a file is missing"):  # a new run looks at no old copy
        planned(str(file), store)


def test_what_it_is_and_how_much_it_counts_stands_in_the_plan(tmp_path: Path) -> None:
    write_teacher(tmp_path / "mine.safetensors")
    store, settings = RunStore(str(tmp_path / "run")), RetrainSettings(epochs=7, teacher_weight=0.3)
    opened = planned(str(tmp_path / "mine.safetensors"), store)
    named = planned("shufflenet_v2_x0_5", store)
    assert opened is not None
    assert named is not None

    assert opened.words(settings) == (
        f"{tmp_path}/mine.safetensors: a shuffle net, images of 32 pixels; 0.3 of the loss at "
        "temperature 2"
    )
    assert named.words(settings) == (
        "shufflenet_v2_x0_5 with 808.224k MACs, trained first for 7 epochs; 0.3 of the loss at "
        "temperature 2"
    )
    assert named.recorded == "shufflenet_v2_x0_5"


def test_a_network_that_is_trained_first_has_a_stand_in_and_is_found_once_it_is_kept(
    tmp_path: Path,
) -> None:
    store = RunStore.create(str(tmp_path / "run"))
    named = planned("shufflenet_v2_x0_5", store)
    assert named is not None
    stand_in = named.stand_in(DATASET, SPACE)
    images = torch.zeros(2, 3, 32, 32)

    assert stand_in.on(torch.device("cpu"), DATASET)(images).shape == (2, 3)
    assert read_teacher(store, SPACE) is None
    assert isinstance(stand_in.network, TorchNetwork)
    weights = stand_in.network.network.state_dict()
    store.write_bytes(TEACHER, named.facts(DATASET, SPACE).packed(weights))
    kept = read_teacher(store, SPACE)
    assert kept is not None
    assert kept.mean == tuple(DATASET.mean.tolist())
    assert safetensors.torch.load(kept.content).keys() == weights.keys()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("vgg11", "--retrain.teacher vgg11: vgg11 cannot take images of 8 x 8 pixels"),
        ("timm/resnet19", "--retrain.teacher timm/resnet19|--retrain.teacher resnet19"),
        ("start", "--retrain.teacher start: the run begins from no trained network"),
        ("resnet19", "--retrain.teacher resnet19: there is nothing of that name; did you mean res"),
        ("nothing", "there is nothing of that name; wanted .*, or start, the network of --start"),
    ],
)
def test_a_teacher_that_cannot_be_trained_is_refused(
    tmp_path: Path, source: str, words: str
) -> None:
    small, store = build_dataset(side=8), RunStore(str(tmp_path / "run"))

    with pytest.raises(UserError, match=words):
        plan_teacher(RetrainSettings(teacher=source), small, SPACE, store, None)


def test_the_start_itself_and_networks_with_weights_of_their_library_are_trained_first(
    tmp_path: Path,
) -> None:
    store, start = RunStore(str(tmp_path / "run")), build_start()
    weights = {"resnet18": LibraryWeights("resnet18", b"some", "torchvision, V1")}
    own, named = (
        plan_teacher(
            RetrainSettings(teacher=source), DATASET, RESIDUAL, store, None, start, "path", weights
        )
        for source in ("start", "resnet18")
    )
    assert own is not None
    assert named is not None

    assert own.chosen == start.architecture
    macs = cost_table(searched_space(RESIDUAL, "path"), 32, 3, 3).of(start.architecture).macs
    assert own.macs == macs
    assert own.words(RetrainSettings()).startswith(
        f"start with {macs / 1e3:g}k MACs, trained first"
    )
    assert own.facts(DATASET, RESIDUAL).architecture == str(start.architecture)
    assert named.recorded == "resnet18, pretrained"
    assert named.words(RetrainSettings()).startswith("resnet18, pretrained with ")
    assert named.warnings == ()


def test_a_teacher_whose_trained_weights_cannot_be_had_says_so(tmp_path: Path) -> None:
    store, start = RunStore(str(tmp_path / "run")), build_start()
    weights = {"resnet18": LibraryWeights("resnet18", b"", "torchvision could not download them")}
    settings = RetrainSettings(teacher="resnet18", epochs=7)
    new = plan_teacher(settings, DATASET, RESIDUAL, store, None, start, "path", weights)
    assert new is not None

    assert ", trained first from new weights for 7 epochs; " in new.words(settings)
    assert new.warnings == (
        "teacher resnet18 begins from new weights: torchvision could not download them",
    )


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert plan_teacher(RetrainSettings(), DATASET, SPACE, RunStore(str(tmp_path)), None) is None
