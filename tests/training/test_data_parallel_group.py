"""Workers that train one network together: the same weights on each, and those of one worker."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import distributed, nn

from raynas.data.batches import part_share
from raynas.data.crops import CENTRE, Crops
from raynas.differentiable.search import GateSearch
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.training.checkpoints import read_metadata
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.evaluation import Evaluation, evaluate
from raynas.training.retraining import Retraining
from raynas.training.starts.inheriting import begin_from_
from tests.builders import shipped_cells
from tests.data.samples import MIRRORED, build_dataset, tiny_space
from tests.settings.published import PRDARTS
from tests.training.reads import Reads
from tests.training.starts.conftest import SPACE, build_start

pytestmark = pytest.mark.slow

WORKERS = 2
CPU = torch.device("cpu")
Trained = TypeVar("Trained", Retraining, GateSearch)
PLAIN = RetrainSettings(epochs=2, batch=15, dropout=0.0, clip=0.0)  # parts of 8 and 7 images
# parts of 4 and 3 images, and a norm that all gradients have to be cut to
GATES = replace(PRDARTS, cells=3, channels=8, epochs=3, batch=7, clip=0.5)
USUAL = RetrainSettings(epochs=4, batch=16, dropout=0.3, ema_decay=0.9)


@dataclass(frozen=True)
class Convolution:
    """A stem or an operation without batch norm."""

    name: str = "convolution"
    out_channels: int = 8

    def build(self, in_channels: int, out_channels: int = 8, stride: int = 1) -> nn.Module:
        """Return the layer."""
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.ReLU())


@dataclass(frozen=True)
class Classifier:
    """A head without batch norm."""

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        """Return the head."""
        linear = nn.Linear(in_channels, num_classes)
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


def without_batch_norms() -> SearchSpace:
    """Return a space in which images of a batch do not influence each other."""
    layer: Any = Convolution()
    head: Any = Classifier()
    blocks = tuple(ChoiceBlock((layer,), 8, 8, stride) for stride in (2, 1))
    return SearchSpace("plain", layer, blocks, head, resolution=8)


def plain(group: DataParallelGroup = ALONE) -> Retraining:
    """Return a retraining whose result does not depend on the number of workers."""
    path = Architecture((0, 0))
    return Retraining(without_batch_norms(), path, build_dataset(), PLAIN, 0, group=group)


def usual(group: DataParallelGroup = ALONE) -> Retraining:
    """Return a retraining with everything random switched on."""
    path = Architecture((0, 1, 2))
    return Retraining(tiny_space(), path, build_dataset(crops=MIRRORED), USUAL, 0, group=group)


def uneven(group: DataParallelGroup = ALONE) -> Retraining:
    """Return a retraining as ``plain``, of classes that differ in size and weigh the same."""
    dataset = build_dataset()
    labels = np.where(np.arange(48) < 30, 0, dataset.train.labels)
    dataset = replace(dataset, train=replace(dataset.train, labels=labels))
    settings = replace(PLAIN, class_weights="balanced")
    return Retraining(
        without_batch_norms(), Architecture((0, 0)), dataset, settings, 0, group=group
    )


def by_recipe(group: DataParallelGroup = ALONE) -> Retraining:
    """Return a retraining of cells with an auxiliary head and all that recipes do."""
    settings = replace(
        USUAL,
        epochs=2,
        optimiser="adamw",
        learning_rate=0.01,
        auxiliary=0.4,
        drop_path=0.2,
        recalibration_batches=2,
        mixup=0.2,
        cutmix=1.0,
        augment="trivial",
        random_erasing=0.3,
        cutout=3,
        class_weights="balanced",
    )
    space = replace(shipped_cells(), nodes=2, cells=3)
    path = Architecture([0] * space.num_layers)
    return Retraining(space, path, build_dataset(), settings, 0, group=group)


def inheriting(group: DataParallelGroup = ALONE) -> Retraining:
    """Return a retraining that begins from trained weights, which its layers are fitted to."""
    start, path = build_start(), Architecture((1, 1))
    dataset = start.normalised(build_dataset(crops=MIRRORED))

    def begin(network: nn.Module) -> frozenset[str]:
        return begin_from_(network, start, SPACE, dataset, seed=0)

    return Retraining(SPACE, path, dataset, USUAL, 0, group=group, begin=begin)


def search(group: DataParallelGroup = ALONE, warmup: int = 0, crops: Crops = CENTRE) -> GateSearch:
    """Return a search of two steps in each of three epochs."""
    space, settings = replace(shipped_cells(), nodes=2), replace(GATES, warmup=warmup)
    return GateSearch(space, build_dataset(count=24, crops=crops), settings, 0, group=group)


class Branched(nn.Module):
    """Has gradients of several of torch's buckets, and weights that no loss depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 600)
        self.rest = nn.Sequential(nn.Linear(600, 600), nn.ReLU(), nn.Linear(600, 600))
        self.unused = nn.Linear(600, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of one branch, and compute another one."""
        x = self.first(x)
        self.unused(x)
        return self.rest(x)


def compare_gradients(group: DataParallelGroup) -> dict[str, Any]:
    """Return what sums during backward make of three steps, beside one sum after it."""
    torch.manual_seed(0)
    later, meanwhile = Branched(), Branched()
    meanwhile.load_state_dict(later.state_dict())
    share = part_share(15, group.rank, WORKERS)
    parallel, same = group.averaging(meanwhile, share), list[bool]()
    for step in range(3):
        torch.manual_seed(10 * step + group.rank)
        x = torch.randn(round(15 * share), 4)
        for network, compute in ((later, later), (meanwhile, parallel)):
            network.zero_grad()
            compute(x).square().mean().backward()
        group.average_gradients(later.parameters(), torch.zeros(()), share)
        gradients = (
            [each.grad for each in later.parameters()],
            [each.grad for each in meanwhile.parameters()],
        )
        pairs = [pair for pair in zip(*gradients, strict=True) if pair[0] is not None]
        same += [torch.equal(*pair) for pair in pairs]
    without = [name for name, each in meanwhile.named_parameters() if each.grad is None]
    return {"same": same, "without": without, "names": [*meanwhile.state_dict()]}


def order_of_sums(group: DataParallelGroup) -> list[str]:
    """Return when sums begin in a step, and when its backward has reached the first layer."""
    network, order, begin = Branched(), list[str](), distributed.all_reduce
    parallel = group.averaging(network, 1 / WORKERS)
    network.first.weight.register_hook(lambda _: order.append("first layer"))

    def noted(*args: Any, **how: Any) -> Any:
        order.append("sum")
        return begin(*args, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "all_reduce", noted)
        for _ in range(3):  # in the first step torch finds out what there is to sum
            order.clear()
            parallel(torch.ones(2, 4)).mean().backward()
    return order


def own_statistics(group: DataParallelGroup) -> list[float]:
    """Return what a batch norm knows after two steps with images of the worker's number."""
    norm = nn.BatchNorm1d(3)
    parallel = group.averaging(norm, 1 / WORKERS)
    for _ in range(2):
        parallel(torch.full((4, 3), float(group.rank))).sum().backward()
    found: list[float] = norm.running_mean.tolist()
    return found


def count_reads(group: DataParallelGroup) -> list[str]:
    """Return what a step asks the device for, after some that arrange the sums."""
    subject = usual(group)
    for step in range(3):
        subject.train_step(step)
    with Reads() as reads:
        subject.train_step(3)
    return reads.found


LOOKS: dict[str, Callable[[DataParallelGroup], Any]] = {
    "gradients": compare_gradients,
    "order": order_of_sums,
    "reads": count_reads,
    "statistics": own_statistics,
}


def train(subject: Trained, epochs: int) -> Trained:
    """Train for so many epochs."""
    for _ in range(epochs):
        subject.run_epoch()
    return subject


def searched_at_rest(group: DataParallelGroup = ALONE) -> dict[str, torch.Tensor]:
    """Return what six steps come to if batch norms do not look at their batches."""
    subject = search(group)
    subject._network.eval()
    steps = [torch.stack(subject.step(number)) for number in range(6)]
    return tensors(subject.to_bytes()) | {"steps": torch.stack(steps)}


def work(rank: int, folder: Path) -> None:
    """Be one of the workers; write what came of it."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORKERS
    )
    group = DataParallelGroup(rank, WORKERS)
    norm = nn.BatchNorm2d(3)
    norm(torch.full((4, 3, 2, 2), float(rank)))
    group.average_statistics([norm], part_share(5, rank, WORKERS))
    whole, again = train(usual(group), 2), usual(group)
    again.restore(whole.to_bytes())
    seen = evaluate(whole.evaluated, build_dataset().train, build_dataset(), CPU, 7, group=group)
    for name, look in LOOKS.items():
        (folder / f"{name}-{rank}").write_text(json.dumps(look(group)))
    (folder / f"seen-{rank}").write_text(json.dumps(asdict(seen)))
    (folder / f"network-{rank}").write_bytes(whole.to_bytes())
    results = {
        "plain": train(plain(group), 2).to_bytes(),
        "uneven": train(uneven(group), 2).to_bytes(),
        "recipe": train(by_recipe(group), 2).to_bytes(),
        "begun": inheriting(group).to_bytes(),
        "inheriting": train(inheriting(group), 2).to_bytes(),
        "whole": train(whole, 1).to_bytes(),
        "again": train(again, 1).to_bytes(),
        "search": train(search(group, warmup=1, crops=MIRRORED), 3).to_bytes(),
        "rest": safetensors.torch.save(searched_at_rest(group)),
        "norm": safetensors.torch.save(norm.state_dict()),
    }
    for name, content in results.items():
        (folder / f"{name}-{rank}").write_bytes(content)
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the workers, in processes of their own, have written their results."""
    folder = tmp_path_factory.mktemp("group")
    context = multiprocessing.get_context("spawn")
    ranks = range(WORKERS)
    workers = [context.Process(target=work, args=(rank, folder), daemon=True) for rank in ranks]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    return folder


def tensors(content: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of a file."""
    loaded: dict[str, torch.Tensor] = safetensors.torch.load(content)
    return loaded


def rows(content: bytes) -> list[dict[str, Any]]:
    """Return what the epochs did, but for how long they took."""
    history = json.loads(read_metadata(content)["history"])
    return [{name: row[name] for name in row if name != "seconds"} for row in history]


@pytest.mark.parametrize(("name", "begin"), [("plain", plain), ("uneven", uneven)])
def test_two_workers_train_a_net_without_batch_norms_to_the_weights_of_one(
    name: str, begin: Callable[[], Retraining], folder: Path
) -> None:
    """Also where classes weigh as much as they are rare, and parts hold other classes."""
    alone = train(begin(), 2).to_bytes()
    start, one = tensors(begin().to_bytes()), tensors(alone)
    two = tensors((folder / f"{name}-0").read_bytes())

    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-6)
        if key.startswith("network."):
            assert not torch.allclose(start[key], value, rtol=1e-2)
    for mine, theirs in zip(rows(alone), rows((folder / f"{name}-0").read_bytes()), strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)


def test_what_workers_see_in_turns_is_what_one_sees_alone_to_the_bit(folder: Path) -> None:
    alone = usual()
    alone.restore((folder / "network-0").read_bytes())
    wanted = evaluate(alone.evaluated, build_dataset().train, build_dataset(), CPU, 7)

    for rank in range(WORKERS):
        assert Evaluation(**json.loads((folder / f"seen-{rank}").read_text())) == wanted


def test_gradients_summed_during_backward_are_those_summed_after_it_to_the_bit(
    folder: Path,
) -> None:
    """Of parts of 8 and 7 images."""
    for rank in range(WORKERS):
        found = json.loads((folder / f"gradients-{rank}").read_text())

        assert found["same"] == [True] * 18  # six tensors in three steps
        assert found["without"] == ["unused.weight", "unused.bias"]
        assert not any(name.startswith("module.") for name in found["names"])


def test_sums_begin_before_backward_has_reached_the_first_layer(folder: Path) -> None:
    for rank in range(WORKERS):
        order = json.loads((folder / f"order-{rank}").read_text())

        assert order.index("sum") < order.index("first layer")


def test_batch_norms_keep_the_statistics_of_their_worker_while_gradients_are_summed(
    folder: Path,
) -> None:
    for rank in range(WORKERS):
        found = json.loads((folder / f"statistics-{rank}").read_text())

        assert found == pytest.approx([rank * (1 - 0.9**2)] * 3)


def test_a_step_of_several_workers_asks_the_device_for_nothing(folder: Path) -> None:
    for rank in range(WORKERS):
        assert json.loads((folder / f"reads-{rank}").read_text()) == []


@pytest.mark.parametrize("name", ["plain", "whole", "search", "recipe", "inheriting"])
def test_all_workers_have_the_same_bits_weights_and_statistics_alike(
    folder: Path, name: str
) -> None:
    first, second = ((folder / f"{name}-{rank}").read_bytes() for rank in range(WORKERS))

    assert rows(first) == rows(second)
    for key, value in tensors(first).items():
        assert torch.equal(value, tensors(second)[key]), key


def test_each_worker_inherits_the_weights_that_one_alone_inherits(folder: Path) -> None:
    alone = tensors(inheriting().to_bytes())
    for rank in range(WORKERS):
        for key, value in tensors((folder / f"begun-{rank}").read_bytes()).items():
            assert torch.equal(value, alone[key]), key
    stem = "network.0.0.weight"

    assert torch.equal(alone[stem], build_start().tensors["0.0.weight"])


def test_two_workers_search_as_one_does_if_batch_norms_do_not_look_at_their_batches(
    folder: Path,
) -> None:
    """Weights, gates, losses, accuracies and what the gates cost."""
    one, start = searched_at_rest(), tensors(search().to_bytes())
    for rank in range(WORKERS):
        two = tensors((folder / f"rest-{rank}").read_bytes())

        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-6)
    assert all(not torch.equal(one[name], start[name]) for name in start if "parameters" in name)


def test_workers_that_start_again_from_a_checkpoint_come_to_the_same_bits(folder: Path) -> None:
    whole, again = ((folder / f"{name}-0").read_bytes() for name in ("whole", "again"))

    assert rows(whole) == rows(again)
    for key, value in tensors(whole).items():
        assert torch.equal(value, tensors(again)[key]), key


def test_running_statistics_are_the_mean_over_the_images_of_all_workers(folder: Path) -> None:
    for rank in range(WORKERS):
        norm = tensors((folder / f"norm-{rank}").read_bytes())
        # each worker's mean, 0 or 1, counts a tenth by the batch norm's momentum; the second one
        # has two of five images
        assert torch.allclose(norm["running_mean"], torch.full((3,), 0.1 * 0.4))


def test_a_worker_alone_needs_no_process_group() -> None:
    loss, parameter = torch.tensor(2.0), nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([3.0])
    ALONE.average_statistics([nn.BatchNorm2d(1)], 1.0)

    assert ALONE.average_gradients([parameter], loss, 1.0) is loss
    assert ALONE.averaging(norm := nn.BatchNorm2d(1), 1.0) is norm
    assert parameter.grad.item() == 3.0


def test_each_worker_drops_out_units_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: dict[DataParallelGroup, int] = {}

    def drawn(retraining: Retraining, step: int) -> torch.Tensor:
        del step
        seeds[retraining._group] = torch.initial_seed()
        return torch.tensor(0.0)

    monkeypatch.setattr(Retraining, "train_step", drawn)
    monkeypatch.setattr(DataParallelGroup, "averaging", lambda _, network, __: network)
    monkeypatch.setattr(DataParallelGroup, "average_statistics", lambda *_: None)
    monkeypatch.setattr(DataParallelGroup, "add_up", lambda *_: None)
    first, second = DataParallelGroup(0, 2), DataParallelGroup(1, 2)
    for group in (ALONE, first, second):
        usual(group).run_epoch()

    assert seeds[first] == seeds[ALONE]
    assert seeds[second] != seeds[first]
