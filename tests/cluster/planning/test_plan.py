"""The plan: what data, space and cluster make of the settings, and what is refused at once."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.plan import Plan, make_plan, warned, with_lengths
from raynas.cluster.planning.plan_refusals import refuse_other_data
from raynas.cluster.planning.plan_text import plan_lines
from raynas.cluster.strategies.strategy import load_strategy
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.training.gradients import build_supernet
from raynas.training.trained_networks import searched_space
from tests.builders import build_space, shipped, shipped_cells
from tests.data.samples import build_dataset
from tests.training.starts.conftest import build_start

LAPTOP = Resources(nodes=1, cpus=2.0, gpus=0.0)
CLUSTER = Resources(nodes=4, cpus=64.0, gpus=8.0)
NEW_FACTS = {  # not recorded at first
    *("class_counts", "mean", "std", "ignored", "passed_over", "parts", "space_digest"),
    "trained_numbers",
}
PHOTOGRAPHS = build_dataset(side=64)
SMALL = Settings(pretrain=PretrainSettings(epochs=1, batch=12), retrain=RetrainSettings(top_k=3))


def plan(
    settings: Settings = SMALL,
    resources: Resources = LAPTOP,
    recorded: PlanFacts | None = None,
    space: Space | None = None,
    dataset: Dataset | None = None,
) -> Plan:
    """Return the plan of a small run."""
    return make_plan(
        space or build_space("RNN"), dataset or build_dataset(), settings, resources, recorded
    )


def refusal(*arguments: Any, **others: Any) -> str:
    """Return the sentence with which a plan is refused."""
    with pytest.raises(UserError) as caught:
        plan(*arguments, **others)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pretrain(**settings: Any) -> Settings:
    """Return the small settings with another pretraining."""
    return replace(SMALL, pretrain=replace(SMALL.pretrain, **settings))


def lines_of(made: Plan, settings: Settings, resources: Resources) -> list[str]:
    """Return a plan as lines, with what its strategy says."""
    strategy = load_strategy(settings.search.strategy)
    return plan_lines(made, settings, resources, strategy.plan_words(made, settings))


def by_gates(**settings: Any) -> Settings:
    """Return the small settings with a differentiable search."""
    return replace(
        SMALL,
        pretrain=replace(SMALL.pretrain, epochs=0),
        search=replace(SMALL.search, strategy="differentiable"),
        differentiable=DifferentiableSettings(**settings),
    )


def search(**settings: Any) -> Settings:
    """Return the small settings with another search."""
    return replace(SMALL, search=replace(SMALL.search, **settings))


def untrained(score: Any) -> Settings:
    """Return the small settings without a pretraining, which not every score allows."""
    small = replace(SMALL.pretrain, epochs=0.0)
    return replace(SMALL, pretrain=small, search=replace(SMALL.search, score=score))


def line_of(settings: Settings, name: str) -> str:
    """Return what a line of the plan says."""
    lines = dict(line.split(maxsplit=1) for line in lines_of(plan(settings), settings, LAPTOP))
    return lines.get(name, "")


def retrain(**settings: Any) -> Settings:
    """Return the small settings with another retraining."""
    return replace(SMALL, retrain=replace(SMALL.retrain, **settings))


class TestSteps:
    def test_identity_is_a_candidate_of_normal_layers_where_it_is_a_path(self) -> None:
        space = build_space("RNN")

        assert searched_space(space, SMALL.pretrain.layer_indicator) == space.with_identity(
            Identity()
        )
        assert plan().space.size == 3 * 4 * 4
        others = pretrain(layer_indicator="parallel", sampling="fair")
        assert plan(others).space == space

    def test_steps_are_rounded_to_equal_counts_and_paths_are_as_many_as_candidates(self) -> None:
        made = plan()

        assert made.num_paths == 4
        assert made.num_steps == 6  # an epoch is 4 steps; counts are equal after each 3

    def test_uniform_sampling_has_one_path_and_no_cycle(self) -> None:
        made = plan(pretrain(sampling="uniform"))

        assert (made.num_paths, made.num_steps) == (1, 4)

    def test_bins_of_macs_have_one_path_too_and_two_shards(self) -> None:
        low = plan().costs.smallest.macs
        bins = {"bins_from": low, "bins_to": low + 1000, "bin_width": 100}
        settings = pretrain(sampling="macs_bins", **bins)
        made = plan(settings)

        assert (made.num_paths, made.num_steps, made.num_shards) == (1, 4, 2)
        assert "macs_bins" in settings.to_json()

    def test_bins_of_macs_without_an_architecture_are_refused(self) -> None:
        bins = {"bins_from": 290_000_000, "bins_to": 360_000_000, "bin_width": 10_000_000}

        assert "no architecture lies there" in refusal(pretrain(sampling="macs_bins", **bins))

    def test_costs_are_those_of_the_space_on_these_images(self) -> None:
        dataset = build_dataset(side=12, channels=1, classes=5)
        made = plan(dataset=dataset)

        assert made.costs == cost_table(made.space, 12, 1, 5)


class TestWorkers:
    @pytest.mark.parametrize(
        ("resources", "workers", "gpus"),
        [
            (LAPTOP, 2, 0.0),
            (Resources(1, 3.0, 0.0), 3, 0.0),
            (Resources(1, 16.0, 0.0), 4, 0.0),
            (Resources(1, 8.0, 1.0), 1, 1.0),
            (CLUSTER, 4, 1.0),
        ],
    )
    def test_workers_are_as_many_as_fit_and_have_work(
        self, resources: Resources, workers: int, gpus: float
    ) -> None:
        made = plan(resources=resources)

        assert (made.workers, made.gpus_per_worker) == (workers, gpus)
        assert plan(pretrain(shards=2), CLUSTER).workers == 8

    @pytest.mark.parametrize(
        ("sampling", "batch", "shards"),
        [("fair_identity", 64, 1), ("uniform", 64, 2), ("uniform", 3, 1), ("fair_identity", 2, 1)],
    )
    @pytest.mark.parametrize("cpus", [2.0, 33.0, 165.0, 4096.0])
    def test_shards_follow_from_the_settings_whatever_the_machine(
        self, sampling: str, batch: int, shards: int, cpus: float
    ) -> None:
        settings = pretrain(sampling=sampling, batch=batch)

        assert plan(settings, Resources(1, cpus, 0.0)).num_shards == shards

    def test_nothing_that_is_recorded_and_decides_a_result_depends_on_the_machine(self) -> None:
        machines = (LAPTOP, CLUSTER, Resources(1, 512.0, 0.0), Resources(9, 9.0, 1.0))
        for settings in (SMALL, pretrain(sampling="uniform"), retrain(workers_per_trial=1)):
            laptop, *others = (plan(settings, machine) for machine in machines)

            for other in others:
                assert other.facts == laptop.facts
                assert (other.num_steps, other.num_paths) == (laptop.num_steps, laptop.num_paths)

    def test_workers_of_several_cpus_are_fewer(self) -> None:
        assert plan(pretrain(cpus_per_worker=2)).workers == 1

    def test_a_fraction_of_a_gpu_lets_workers_share_it(self) -> None:
        made = plan(pretrain(gpus_per_worker=0.5), Resources(1, 8.0, 1.0))

        assert made.workers == 2

    def test_the_number_of_shards_is_kept_on_resume(self) -> None:
        """Whatever it was when the run began, checkpoints belong to it."""
        recorded = replace(plan().facts, shards=4)
        again = plan(recorded=recorded)

        assert (again.num_shards, again.workers) == (4, 2)
        assert again.facts == recorded

    @pytest.mark.parametrize(("top_k", "wanted"), [(1, 1), (3, 2)])
    def test_trials_at_a_time_are_as_many_as_fit_and_no_more_than_there_are(
        self, top_k: int, wanted: int
    ) -> None:
        assert plan(retrain(top_k=top_k)).concurrent == wanted


class TestRefusals:
    def test_a_limit_below_the_smallest_network_names_that_network_s_cost(self) -> None:
        smallest = plan().costs.smallest
        by_macs = refusal(replace(SMALL, max_macs=10))
        by_params = refusal(replace(SMALL, max_params=10))

        assert "--max-macs 10" in by_macs
        assert str(smallest.macs) in by_macs
        assert "--max-params 10" in by_params
        assert str(smallest.params) in by_params

    def test_more_workers_than_the_cluster_holds_are_refused_with_what_it_holds(self) -> None:
        sentence = refusal(pretrain(workers=5))

        assert "--pretrain.workers 5" in sentence
        assert "the cluster holds 2 workers" in sentence

    @pytest.mark.parametrize(
        ("settings", "flag"),
        [
            (pretrain(gpus_per_worker=1.0), "--pretrain.gpus-per-worker 1"),
            (retrain(gpus_per_trial=2.0), "--retrain.gpus-per-trial 2"),
        ],
    )
    def test_gpus_are_refused_where_there_are_none(self, settings: Settings, flag: str) -> None:
        sentence = refusal(settings)

        assert flag in sentence
        assert "the cluster has 0 GPUs" in sentence

    @pytest.mark.parametrize(
        ("settings", "flag"),
        [
            (pretrain(cpus_per_worker=3), "--pretrain.cpus-per-worker 3"),
            (retrain(cpus_per_trial=9), "--retrain.cpus-per-trial 9"),
        ],
    )
    def test_more_cpus_than_the_cluster_has_are_refused(
        self, settings: Settings, flag: str
    ) -> None:
        sentence = refusal(settings)

        assert flag in sentence
        assert "together they have 2 CPUs" in sentence

    def test_an_auxiliary_head_that_maps_are_too_small_for_is_refused(self) -> None:
        settings = replace(by_gates(), retrain=replace(SMALL.retrain, auxiliary=0.4))
        small = build_dataset(side=4)

        said = refusal(settings, space=shipped_cells(), dataset=small)
        assert "--retrain.auxiliary with images of 4 x 4 pixels" in said

    def test_shards_of_a_single_image_are_refused(self) -> None:
        sentence = refusal(pretrain(shards=7))

        assert "--pretrain.shards 7" in sentence
        assert "--pretrain.batch" in sentence

    @pytest.mark.parametrize(
        ("resources", "wanted"),
        [
            (Resources(1, 2, 0), 1),
            (Resources(1, 96, 8), 12),
            (Resources(4, 384, 32), 12),
            (Resources(1, 256, 1), 16),
        ],
    )
    def test_a_node_s_cores_are_shared_by_the_decoders_of_its_trainers(
        self, resources: Resources, wanted: int
    ) -> None:
        trainers = max(int(resources.gpus), 2 if not resources.gpus else 1)
        planned = replace(plan(), workers=trainers, concurrent=1)

        assert planned.decoders(resources) == wanted

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("classes", ["x", "y", "z"]),
            ("channels", 1),
            ("resolution", 9),
            ("train", 47),
            ("val", 1),
            ("test", 1),
            ("skipped", ["a.png"]),
            ("mean", [0.5, 0.5, 0.4]),
            ("std", [0.1]),
        ],
    )
    def test_data_that_differ_from_the_recorded_ones_are_refused_by_what_differs(
        self, name: str, other: Any
    ) -> None:
        recorded = replace(plan().facts, **{name: other})
        sentence = refusal(recorded=recorded)

        assert f"its data had {name} {other}" in sentence
        assert "--run" in sentence

    def test_a_run_that_made_choices_on_what_is_kept_for_the_test_now_is_refused_on_resume(
        self,
    ) -> None:
        older = PlanFacts.from_json(
            json.dumps({k: v for k, v in vars(plan().facts).items() if k != "keeps_val"})
        )
        sentence = refusal(recorded=older, dataset=replace(build_dataset(), keeps_val=True))

        assert sentence == (
            "run folder: its val/ served for choices when it began, and is kept for the test now; "
            "choose another --run"
        )
        assert plan(recorded=older).facts == plan().facts  # other data serve as they did

    def test_a_plan_says_that_validation_images_are_kept_for_the_test(self) -> None:
        images = replace(SMALL.images, test_fraction=0.3)
        settings = replace(SMALL, images=images)
        made = plan(settings, dataset=replace(build_dataset(), keeps_val=True))
        lines = lines_of(made, settings, LAPTOP)

        assert (
            "parts     val/ is kept for the final test; choices are made on 24 images cut off "
            "train/, at most 50 of each class" in lines
        )
        assert any("--images.test-fraction 0.3 is not used" in line for line in lines)
        usual = "\n".join(lines_of(plan(settings), settings, LAPTOP))
        assert "kept for" not in usual
        assert "not used" not in usual

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({}, ""),
            ({"on": "all"}, "then the first-ranked one once more on all 72 training and"),
            ({"on": "all", "final_k": 2}, "then the 2 first-ranked ones once more on all 72"),
            ({"on": "all", "top_k": 1}, "on all 72 training and validation images, since there is"),
        ],
    )
    def test_a_plan_says_what_is_trained_on_all_images(
        self, settings: dict[str, Any], words: str
    ) -> None:
        line = line_of(retrain(**settings), "retrain")

        assert words in line
        assert ("validation images" in line) == bool(words)

    def test_a_space_whose_candidates_have_changed_places_is_refused_on_resume(self) -> None:
        space = build_space("RNN")
        first = space.blocks[0]
        turned = replace(first, candidates=first.candidates[::-1])
        other = replace(space, blocks=(turned, *space.blocks[1:]))
        sentence = refusal(recorded=plan(space=space).facts, space=other)

        assert sentence.startswith("run folder: the blocks or operations of its space tiny were")
        assert "bring the space's file back" in sentence

    def test_a_run_of_other_random_numbers_is_refused_on_resume(self) -> None:
        facts = replace(plan().facts, random_numbers=None)

        assert "drew other random numbers from the same seed" in refusal(recorded=facts)

    def test_sums_in_another_order_make_no_other_images(self) -> None:
        facts = plan().facts
        near = {name: [each + 1e-7 for each in getattr(facts, name)] for name in ("mean", "std")}

        assert plan(recorded=replace(facts, **near)).facts == facts

    def test_workers_too_many_for_a_batch_of_a_differentiable_search_are_refused(self) -> None:
        settings = by_gates(batch=3)
        group = replace(settings, retrain=replace(settings.retrain, workers_per_trial=2))

        assert "--differentiable.batch" in refusal(group, space=shipped_cells())


class TestFacts:
    def test_all_that_a_network_needs_to_read_images_is_recorded_as_json(self) -> None:
        dataset = build_dataset()
        facts = json.loads(plan(dataset=dataset).facts.to_json())

        assert facts["classes"] == ["class 0", "class 1", "class 2"]
        assert (facts["channels"], facts["resolution"]) == (3, 8)
        assert np.array_equal(np.array(facts["mean"], dtype=np.float32), dataset.mean)
        assert np.array_equal(np.array(facts["std"], dtype=np.float32), dataset.std)
        assert facts["class_counts"] == {"train": [16] * 3, "val": [8] * 3, "test": [8] * 3}

    def test_a_run_goes_on_from_the_weights_that_it_began_from_alone(self) -> None:
        with pytest.raises(UserError, match=r"begins from were others \(digest a, now b\); bring"):
            refuse_other_data(PlanFacts(start="a"), PlanFacts(start="b"))
        refuse_other_data(PlanFacts(), PlanFacts(start="b"))  # an older raynas recorded none

    def test_a_run_that_an_older_raynas_recorded_goes_on(self) -> None:
        facts = plan().facts
        known = json.loads(facts.to_json())
        older = {name: known[name] for name in known if name not in NEW_FACTS}

        assert plan(recorded=PlanFacts.from_json(json.dumps(older))).facts == facts


class TestWhatLearns:
    def test_the_facts_count_what_learns_which_is_nothing_without_a_supernet(self) -> None:
        learns, frozen = plan(), plan(pretrain(classifier_rate=0.0))
        space, settings = learns.chain, SMALL.pretrain
        wanted = len(build_supernet(space, settings, build_dataset(), 0).vector)

        assert learns.facts.trained_numbers == wanted > (frozen.facts.trained_numbers or 0) > 0
        assert line_of(SMALL, "learns") == f"all batch norms + classifier, {wanted:,} numbers"
        assert plan(untrained("random")).facts.trained_numbers is None
        assert line_of(untrained("random"), "learns") == ""


class TestLines:
    def test_the_plan_is_told_in_lines_that_name_the_numbers(self) -> None:
        settings = replace(SMALL, max_macs=10**9)
        text = "\n".join(lines_of(plan(settings), settings, LAPTOP))

        assert "48 training, 24 validation, 24 test images, 3 classes, 3 x 8 x 8" in text
        assert "tiny: 3 layers, 48 networks" in text
        assert "1 nodes, 2 CPUs, 0 GPUs" in text
        assert "6 steps of 4 paths x 1 shards, 2 workers\n" in text
        assert "learns    all batch norms + classifier, " in text
        assert "at most 1G MACs" in text
        assert "skipped" not in text

    def test_a_run_on_cells_tells_how_many_there_are_and_pretrains_nothing(self) -> None:
        settings = untrained("random")
        made = plan(settings, space=shipped_cells())
        text = "\n".join(lines_of(made, settings, LAPTOP))

        assert "darts_cells_small: 5 cells of 4 nodes, 18,473,062,740,506,010,000 netw" in text
        assert "pretrain  none" in text
        assert made.costs == cost_table(shipped_cells(), 8, 3, 3)
        with pytest.raises(UserError, match="pretraining: it needs a space whose layers stand"):
            _ = made.chain

    def test_a_differentiable_search_is_told_with_its_seeds_and_ends_in_a_network_of_each(
        self,
    ) -> None:
        settings = by_gates(seeds=3, batch=8)
        made = plan(settings, space=shipped_cells())
        text = "\n".join(lines_of(made, settings, LAPTOP))

        assert "by hard-concrete gates in 6 cells of 16 channels, 3 seeds for 200 epochs, 2" in text
        assert "retrain   3 networks for 15 epochs, 2 at a time, fifo" in text
        assert (made.searches, made.concurrent) == (2, 2)
        one = by_gates(
            seeds=1, batch=8, gates="softmax", skip_weight=0, group_weight=0, path_weight=0
        )
        text = "\n".join(lines_of(plan(one, space=shipped_cells()), one, LAPTOP))
        assert "by softmax gates in 6 cells of 16 channels, 1 seed for 200 epochs, 1 at a" in text
        assert "retrain   1 network for 15 epochs, 1 at a time, fifo" in text

    def test_what_others_hold_is_told(self) -> None:
        busy = replace(LAPTOP, taken=(1.0, 0.0))
        text = "\n".join(lines_of(plan(resources=busy), SMALL, busy))

        assert "2 CPUs, 0 GPUs; others hold 1 CPUs and 0 GPUs, stages wait" in text

    def test_skipped_images_are_counted_and_the_first_ones_named(self) -> None:
        dataset = replace(build_dataset(), skipped=tuple(f"{i}.png" for i in range(5)))
        made = plan(dataset=dataset)
        text = "\n".join(lines_of(made, SMALL, LAPTOP))

        assert "5 images that cannot be read: 0.png, 1.png, 2.png, ..." in text

    def test_sizes_classes_and_files_that_are_passed_over_have_lines_of_their_own(self) -> None:
        dataset = replace(
            build_dataset(),
            sides=(20, 30, 90),
            ignored=("30 heic", "1 txt"),
            passed_over=("@eaDir/ (2)", "links to nothing (1)"),
            parts=("train: training_set", "test: test_set"),
        )
        lines = lines_of(plan(dataset=dataset), SMALL, LAPTOP)

        assert (
            "sizes     images of 20 to 90 pixels (half above 30), cut to squares and resized"
            in lines
        )
        assert "classes   32 images each" in lines
        assert (
            "ignored   files that are no images by their endings: 30 heic, 1 txt; @eaDir/ (2), "
            "links to nothing (1)" in lines
        )
        assert "parts     train: training_set, test: test_set" in lines
        assert "names     class 0, class 1, class 2" in lines
        assert not [line for line in lines_of(plan(), SMALL, LAPTOP) if "sizes" in line]

    def test_classes_of_few_images_and_maps_of_one_pixel_are_warned_of(self) -> None:
        settings, space = replace(SMALL, images=ImageSettings(resolution=4)), build_space("RRRN")
        made = plan(settings, space=space, dataset=build_dataset(count=24, side=4))
        warnings = [x for x in lines_of(made, settings, LAPTOP) if x.startswith("warning: ")]

        assert [warning.split()[1] for warning in warnings] == [
            "at",
            "fewer",
            "pretraining",
            "retraining",
        ]
        assert "2 of 4 layers of tiny see maps of one pixel" in warnings[0]
        assert "3 classes (class 0, class 1, class 2)" in warnings[1]

    def test_trainings_of_few_steps_are_warned_of_with_epochs_that_are_enough(self) -> None:
        few = plan(retrain(epochs=10, batch=16)).warnings
        enough = replace(pretrain(epochs=13), retrain=RetrainSettings(epochs=17, batch=16))

        gates = plan(by_gates(epochs=3, batch=12), space=shipped_cells()).warnings
        assert (
            "a differentiable search has 6 steps in all, too few to learn from, since 24 images "
            "make few batches of 12; raise --differentiable.epochs to 25" in gates[0]
        )
        assert few[0].startswith("pretraining has 6 steps in all, too few to learn from")
        assert "raise --pretrain.epochs to 13, or lower --pretrain.batch" in few[0]
        assert few[1].startswith("retraining has 30 steps in all")
        assert "raise --retrain.epochs to 17" in few[1]
        assert plan(enough).warnings == ()
        assert plan(untrained("naswot")).warnings[0].startswith("retraining")

    def test_epochs_that_follow_from_the_least_steps_say_so(self) -> None:
        for epochs, words in ((8, ""), (9, " (9 steps at least)"), (10, "")):
            retrain = replace(SMALL.retrain, epochs=epochs, least_steps=9)
            settings = replace(SMALL, retrain=retrain)
            said = "".join(lines_of(plan(settings), settings, LAPTOP))

            assert f" for {epochs} epochs{words}, " in said

    def test_a_supernet_that_the_score_does_not_read_is_warned_of(self) -> None:
        read = pretrain(epochs=13)
        unread = replace(read, search=replace(read.search, score="naswot"))

        assert plan(unread).warnings[-1] == (
            "--search.score naswot does not read the supernet that is pretrained for 13 epochs; "
            "--pretrain.epochs 0 does without it, --method fair_saliency reads one"
        )
        assert not [each for each in plan(read).warnings if "does not read" in each]

    @pytest.mark.parametrize("given", [{"teacher_weight": 0.9}, {"temperature": 4.0}])
    def test_how_much_a_teacher_counts_is_warned_of_where_there_is_none(
        self, given: dict[str, float]
    ) -> None:
        settings = pretrain(epochs=13)

        unread = replace(settings, retrain=replace(settings.retrain, **given))

        assert plan(unread).warnings[-1] == (
            "--retrain.teacher-weight and --retrain.temperature do nothing without a teacher; "
            "name one by --retrain.teacher"
        )
        assert not [each for each in plan(settings).warnings if "without a teacher" in each]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({}, "20 generations of 50, score balanced_saliency"),
            ({"strategy": "exact"}, "exactly, by integer programming, score balanced_saliency"),
            ({"path_bonus": 0.3}, "20 generations of 50, score balanced_saliency + 0.3 path"),
            (
                {"strategy": "calibrated", "score": "taylor"},
                "begins as score taylor and learns from the retraining trials",
            ),
            ({"score": "accuracy"}, "20 generations of 50, score accuracy by trials, 2 at a time"),
            (
                {"score": "random", "concurrent": 5, "generations": 1},
                "1 generations of 50, score random by trials, 5 at a time",
            ),
        ],
    )
    def test_the_search_is_told_as_strategy_and_score_make_it(
        self, changes: dict[str, Any], words: str
    ) -> None:
        settings = search(**changes)

        assert line_of(settings, "search") == words
        limited = replace(settings, max_macs=10**9, min_macs=1000)
        assert line_of(limited, "search") == f"{words}, 1k to 1G MACs"

    def test_room_for_many_more_workers_than_have_work_is_told_with_what_gives_them_some(
        self,
    ) -> None:
        large = Resources(1, 9.0, 0.0)
        lines = "\n".join(lines_of(plan(resources=large), SMALL, large))

        assert "4 workers of 9 that have room (--pretrain.shards makes work for more)" in lines

    def test_a_pretraining_of_no_steps_is_told_as_none(self) -> None:
        settings = untrained("naswot")

        assert line_of(settings, "pretrain") == "none"
        assert line_of(SMALL, "pretrain").startswith("6 steps")

    def test_learning_is_told_where_there_is_one(self) -> None:
        settings = replace(SMALL, trainings=7)
        by_trials = replace(settings, search=SearchSettings(score="accuracy"))

        assert line_of(replace(SMALL, trainings=0), "learn") == ""
        assert line_of(settings, "learn") == (
            "the score from 7 networks, trained for 3 epochs, 2 at a time"
        )
        assert line_of(by_trials, "learn") == (
            "the score from 7 networks, from the lowest to the highest score, "
            "trained for 3 epochs, 2 at a time"
        )
        assert line_of(replace(settings, trainings=1), "learn").endswith("1 at a time")


class TestStarts:
    def test_few_photographs_and_random_weights_are_worth_a_sentence_with_what_fits(self) -> None:
        said = [line for line in plan(dataset=PHOTOGRAPHS).warnings if "photographs teach" in line]
        published = shipped("mobilenet_v2_imagenet")
        of_space = plan(dataset=PHOTOGRAPHS, space=published).warnings

        assert len(said) == 1
        assert "48 photographs" in said[0]
        assert said[0].endswith("--space efficientnet_lite0 --start efficientnet_lite0")
        assert any(line.endswith("such as by --start mobilenet_v2") for line in of_space)

    @pytest.mark.parametrize(
        ("settings", "dataset"),
        [
            (replace(SMALL, start="mobilenet_v2"), PHOTOGRAPHS),
            (replace(SMALL, method="imagenet/spos"), PHOTOGRAPHS),
            (SMALL, build_dataset(side=56)),
            (SMALL, build_dataset(side=64, channels=1)),
        ],
    )
    def test_nothing_is_said_of_a_start_a_paper_or_other_images(
        self, settings: Settings, dataset: Dataset
    ) -> None:
        said = plan(settings, dataset=dataset).warnings
        assert not any("photographs teach" in line for line in said)

    def test_the_plan_has_a_line_of_its_own(self) -> None:
        start = build_start()
        made = make_plan(build_space("RN"), build_dataset(), SMALL, LAPTOP, None, start=start)
        lines = plan_lines(made, SMALL, LAPTOP, "search")

        assert f"start     {start.words}" in lines


@pytest.mark.parametrize(
    "settings",
    [
        replace(pretrain(epochs=3), retrain=replace(SMALL.retrain, top_k=1, epochs=9)),
        replace(pretrain(epochs=2, sampling="uniform"), rivals="random", trainings=4),
        by_gates(seeds=2),
    ],
)
def test_a_plan_of_other_lengths_is_that_which_their_settings_would_have_made(
    settings: Settings,
) -> None:
    space = shipped_cells() if settings.search.traits.is_differentiable else build_space("RNN")
    asked = replace(
        settings,
        pretrain=replace(settings.pretrain, epochs=5 * settings.pretrain.epochs),
        retrain=replace(settings.retrain, top_k=4, epochs=90),
    )
    made = plan(asked, CLUSTER, space=space)
    found = warned(with_lengths(made, settings), build_dataset(), settings)
    expected = plan(settings, CLUSTER, space=space)

    assert found == replace(
        expected, costs=found.costs, sampler=found.sampler, space=found.space, named=found.named
    )
    assert found.warnings == expected.warnings
    assert found.facts == expected.facts
