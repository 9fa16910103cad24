"""The public names: which there are, how they are called, and the example that their page shows."""

import asyncio
import inspect
import runpy
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from raynas import api
from raynas.cluster.planning.connection import Resources
from raynas.errors import UserError
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore

FROZEN = """
AdditiveScorer(table)
Architecture(iterable)
CellSpace(name, stem, operations, head, resolution)
ChoiceBlock(candidates, in_channels, out_channels, stride)
ConvStem(out_channels, stride)
Cost(macs, params)
CostTable(macs, params, fixed)
Evolution(sampler, settings, seed)
Genotype(normal, reduction)
Identity()
InvertedResidual(kernel, hidden)
LegalSampler(costs, limits)
Limits(max_macs, max_params, max_latency)
MBConv(kernel, expansion)
PooledHead(width)
RunStore(uri)
SearchSpace(name, stem, blocks, head, resolution)
Settings(space, data, method, max_macs, max_params, max_latency, latency_table, seed)
Shuffle(kernel)
ShuffleXception()
SqueezeExcitation(width)
TwoLayerHead(width, classifier_width)
at_resolutions(settings, resolutions)
best(table, costs, limits)
compare_paired(first, second, seed)
compare_resolutions(stores)
learn(run, scores)
cost_table(space, resolution, in_channels, num_classes)
find_winners(run, supernet)
given(settings)
train_rivals(run)
train_teacher(run)
k_best(table, costs, limits, k, min_distance)
load_dataset(data, settings, seed, usual_resolution)
load_method(method, folder)
load_network(folder, architecture)
load_recipe(recipe, folder, settings)
load_space(name, folder)
load_start(text, space)
open_run(settings, folder, console, options)
pretrain(run)
reliability(confidence, right, bins)
retrain(run, winners)
score(run, supernet)
score_table(indicators, space, settings)
search(run, scores)
searched_space(space, layer_indicator)
subnet(space, architecture, in_channels, num_classes, dropout)
wilson(correct_share, images)
"""
"""How each is called, at least: further arguments may follow, these may not go or move."""

TYPES = {
    "Dataset",
    "DifferentiableSettings",
    "ExportSettings",
    "Head",
    "ImageSettings",
    "Indicators",
    "Operation",
    "Options",
    "Plan",
    "Pretraining",
    "PretrainSettings",
    "RetrainSettings",
    "Run",
    "Scores",
    "SearchSettings",
    "StageError",
    "Start",
    "Stem",
    "Supernet",
    "UserError",
    "Winners",
}
"""What is held and not called, but for their fields by name."""


def frozen() -> dict[str, list[str]]:
    """Return the frozen calls: the names of the arguments by name."""
    calls = (line.rstrip(")").split("(") for line in FROZEN.split("\n") if line)
    return {name: arguments.split(", ") if arguments else [] for name, arguments in calls}


def test_the_public_names_are_the_frozen_ones() -> None:
    assert set(api.__all__) == set(frozen()) | TYPES
    assert api.__all__ == sorted(api.__all__)


@pytest.mark.parametrize("name", sorted(set(frozen()) - {"Architecture"}))
def test_a_public_name_is_called_as_ever(name: str) -> None:
    arguments = list(inspect.signature(getattr(api, name)).parameters)
    assert arguments[: len(frozen()[name])] == frozen()[name]


@pytest.mark.parametrize("name", api.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    text = inspect.getdoc(getattr(api, name)) or ""

    assert text.split("\n")[0].endswith(".")
    assert not text.startswith(f"{name}(")  # what a dataclass without a text says of itself


def test_the_package_tells_checkers_that_it_is_typed() -> None:
    assert (Path(api.__file__).parent / "py.typed").is_file()


@pytest.mark.cluster
def test_the_example_of_the_page_is_a_run_and_its_result_a_network_also_in_a_thread_with_a_loop(
    cluster: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a server's thread, and in a notebook's cell; other tests are in the main thread."""
    assert cluster.cpus
    monkeypatch.chdir(tmp_path)
    example = textwrap.dedent((api.__doc__ or "").split("same way:\n", 1)[1].split("\nEvery")[0])
    small = Settings(
        max_macs=400_000,
        trainings=0,
        pretrain=PretrainSettings(epochs=1.0, workers=1),
        search=SearchSettings(generations=2, population=6, parents=3, mutations=2, crossovers=2),
        retrain=RetrainSettings(top_k=1, epochs=1),
    )
    assert "Settings(max_macs=400_000)" in example  # a minute; a smaller one does here
    example = example.replace("Settings(max_macs=400_000)", "small")
    example = example.replace('"runs/mine")', '"runs/mine", probing=False)', 1)
    Path("example.py").write_text(example)

    async def cell() -> dict[str, object]:
        return runpy.run_path("example.py", {"small": small})

    with ThreadPoolExecutor(1) as server:
        names = server.submit(asyncio.run, cell()).result()

    store = RunStore.open("runs/mine")
    (run,), (outcome,) = store.rows("runs"), store.rows("outcomes")
    assert run["finished"] is not None
    assert outcome["status"] == "finished"
    network = names["network"]
    assert isinstance(network, torch.nn.Module)
    assert not network.training
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(UserError, match=rf"9-9 was not trained .* {outcome['architecture']}"):
        api.load_network("runs/mine", "9-9")
