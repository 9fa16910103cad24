"""Settings: refusals that name the setting, and what differs on resume."""

import dataclasses
import hashlib
import json
import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.errors import UserError
from raynas.settings.deciding import FREE, flat
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.images import ImageSettings
from raynas.settings.older_names import named_before
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.scores import INDICATOR_SCORES, ZERO_COST_SCORES, ScoreName
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings, differences
from tests.builders import GROUPS, setting_names

LayerIndicator = Literal["path", "parallel", "none"]


def test_the_default_search_is_as_spos_published_it() -> None:
    search = SearchSettings()

    assert (search.generations, search.population, search.parents) == (20, 50, 10)
    assert (search.mutations, search.crossovers, search.mutation_probability) == (25, 25, 0.1)
    assert search.layer_weight_sign == 1


def test_the_default_supernet_is_orthogonal_strictly_fair_and_reads_the_identity_path() -> None:
    pretrain = PretrainSettings()

    assert pretrain.initialisation == "qr"
    assert (pretrain.sampling, pretrain.extra) == ("fair_identity", "rotate")
    assert (pretrain.layer_indicator, pretrain.schedule) == ("path", "cosine")
    assert (pretrain.label_smoothing, pretrain.clip) == (0.1, 5.0)


def test_limits_are_the_two_limits_of_the_settings() -> None:
    assert Settings(max_macs=10, max_params=20).limits == Limits(10, 20)


@pytest.mark.parametrize(
    ("group", "field", "value"),
    [
        ("images", "resolution", 0),
        ("images", "resolution", -1),
        ("images", "val_fraction", 0.0),
        ("images", "val_fraction", 1.0),
        ("images", "val_fraction", float("nan")),
        ("images", "test_fraction", 1.5),
        ("images", "max_corrupt", -0.1),
        ("images", "share", 0.0),
        ("images", "share", 1.1),
        ("pretrain", "epochs", -0.5),
        ("pretrain", "epochs", float("nan")),
        ("pretrain", "batch", 1),
        ("pretrain", "learning_rate", -0.1),
        ("pretrain", "workers", 0),
        ("pretrain", "shards", 0),
        ("pretrain", "workers", -1),
        ("pretrain", "label_smoothing", 1.0),
        ("pretrain", "label_smoothing", -0.1),
        ("search", "generations", 0),
        ("search", "population", 0),
        ("search", "parents", 0),
        ("search", "recalibration_batches", 0),
        ("search", "score_images", 0),
        ("search", "concurrent", 0),
        ("retrain", "top_k", 0),
        ("retrain", "epochs", 0),
        ("retrain", "batch", 1),
        ("retrain", "label_smoothing", 1.0),
        ("retrain", "ema_decay", 1.0),
        ("retrain", "max_failures", -1),
        ("pretrain", "classifier_rate", -1.0),
        ("pretrain", "momentum", 1.0),
        ("retrain", "momentum", 0.0),
        ("pretrain", "clip", -1.0),
        ("pretrain", "cpus_per_worker", 0),
        ("pretrain", "records", 0),
        ("search", "mutations", -1),
        ("images", "bits", 7),
        ("images", "bits", 17),
        ("search", "path_bonus", -0.1),
        ("search", "path_bonus", math.inf),
        ("search", "crossovers", -1),
        ("search", "mutation_probability", 1.5),
        ("retrain", "dropout", 1.0),
        ("retrain", "concurrent", 0),
        ("retrain", "epochs", math.inf),
        ("retrain", "schedule_decay", 1.0),
        ("retrain", "warmup_epochs", -1.0),
        ("retrain", "recalibration_batches", -1),
        ("retrain", "mixup", -0.1),
        ("retrain", "random_erasing", 1.0),
        ("retrain", "cutout", -1),
        ("retrain", "auxiliary", math.inf),
        ("images", "lighting", -0.1),
    ],
)
def test_a_number_that_cannot_work_is_refused_by_its_flag(
    group: str, field: str, value: float
) -> None:
    changed = replace(getattr(Settings(), group), **{field: value})
    flag = f"--{group}.{field.replace('_', '-')}: got {value}"

    with pytest.raises(UserError) as refusal:
        Settings(**{group: changed})
    assert flag in str(refusal.value)


@pytest.mark.parametrize(
    ("group", "field", "value"),
    [
        ("images", "share", 1.0),
        ("images", "max_corrupt", 0.0),
        ("images", "resolution", None),
        ("pretrain", "classifier_rate", 0.0),
        ("pretrain", "label_smoothing", 0.0),
        ("pretrain", "workers", 1),
        ("search", "mutation_probability", 1.0),
        ("search", "crossovers", 0),
        ("search", "path_bonus", 0.0),
        ("retrain", "max_failures", 0),
    ],
)
def test_the_last_number_that_can_work_is_taken(
    group: str, field: str, value: float | None
) -> None:
    settings = Settings(**{group: replace(getattr(Settings(), group), **{field: value})})

    assert getattr(getattr(settings, group), field) == value


def test_a_band_whose_ends_are_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--min-macs 30 with --max-macs 20: nothing lies between"):
        Settings(min_macs=30, max_macs=20)
    assert Settings(min_params=20, max_params=20).limits == Limits(max_params=20, min_params=20)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, 10**30])
def test_a_seed_that_no_table_can_hold_is_refused(seed: int) -> None:
    with pytest.raises(UserError) as refusal:
        Settings(seed=seed)
    assert str(refusal.value) == f"--seed: got {seed}, wanted a number in [0, 2^63)"


def test_searches_side_by_side_have_seeds_that_a_table_can_hold() -> None:
    settings = replace(Settings(), search=SearchSettings(strategy="differentiable"))
    last = replace(settings, seed=2**63 - 2, differentiable=DifferentiableSettings(seeds=2))

    assert last.seed == 2**63 - 2
    with pytest.raises(UserError, match=r"--differentiable.seeds 2 with --seed .* less than 2\^63"):
        replace(last, seed=2**63 - 1)


@pytest.mark.parametrize(
    ("gpus", "words"),
    [(1.5, "wanted a whole number, or a share of one GPU"), (1e-5, "wanted 0 or at least 0.0001")],
)
def test_gpus_that_ray_cannot_give_a_worker_are_refused(gpus: float, words: str) -> None:
    with pytest.raises(UserError) as refusal:
        Settings(pretrain=PretrainSettings(gpus_per_worker=gpus))
    assert f"--pretrain.gpus-per-worker {gpus:g}: " in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("indicator", "sampling"),
    [("path", "fair"), ("parallel", "fair_identity"), ("none", "fair_identity")],
)
def test_a_sampling_that_does_not_fit_the_layer_indicator_is_refused(
    indicator: LayerIndicator, sampling: Literal["fair", "fair_identity"]
) -> None:
    pretrain = PretrainSettings(layer_indicator=indicator, sampling=sampling)

    with pytest.raises(UserError, match=f"sampling {sampling} with .* {indicator}"):
        Settings(pretrain=pretrain, search=SearchSettings(score="bnnas"))


@pytest.mark.parametrize(
    ("indicator", "sampling"),
    [
        ("path", "fair_identity"),
        ("parallel", "fair"),
        ("none", "fair"),
        ("path", "uniform"),
        ("parallel", "uniform"),
        ("none", "uniform"),
    ],
)
def test_a_sampling_that_fits_the_layer_indicator_is_taken(
    indicator: LayerIndicator, sampling: Literal["fair", "fair_identity", "uniform"]
) -> None:
    pretrain = PretrainSettings(layer_indicator=indicator, sampling=sampling)
    settings = Settings(pretrain=pretrain, search=SearchSettings(score="bnnas"))

    assert settings.pretrain == pretrain


@pytest.mark.parametrize("score", ["identity_ratio", "layer_weighted", "log_ratio", "additive"])
def test_a_score_of_layer_indicators_is_refused_where_there_are_none(score: ScoreName) -> None:
    pretrain = PretrainSettings(layer_indicator="none", sampling="fair")

    with pytest.raises(UserError, match=f"--search.score {score}: it needs a layer indicator"):
        Settings(pretrain=pretrain, search=SearchSettings(score=score))


def test_scores_without_a_layer_weight_need_no_layer_indicator() -> None:
    pretrain = PretrainSettings(layer_indicator="none", sampling="fair")
    for search in (
        SearchSettings(score="bnnas"),
        SearchSettings(score="taylor"),
        SearchSettings(score="zscore", layer_weight_sign=0),
    ):
        assert Settings(pretrain=pretrain, search=search).search == search


@pytest.mark.parametrize("secret", ["s3cr3t", "s3'\"cr3t", 's3cr3t"', "s3cr3t\\"])
def test_no_key_of_a_location_is_recorded_or_in_a_name(secret: str) -> None:
    for data in (f"s3://b/x?secret_key={secret}", f"s3://b/x?sas_token={secret}&scheme=http"):
        settings = Settings(data=data)

        assert "cr3t" not in settings.to_json()
        assert json.loads(settings.to_json())["data"] == data.replace(secret, "***")
        assert settings.digest == Settings(data=data.replace(secret, "other")).digest


def test_settings_do_not_differ_from_their_own_record() -> None:
    settings = Settings(max_macs=10, search=SearchSettings(parents=3))

    assert differences(settings.to_json(), settings) == []


DECIDING = [
    (group, name)
    for group, name in setting_names()
    if f"{group}.{name.replace('_', '-')}" not in FREE
]


@given(st.sampled_from(DECIDING), st.sampled_from([7, 0.5, "other", None]))
def test_a_difference_names_the_setting_what_was_recorded_and_what_is_now(
    setting: tuple[str, str], before: float | str | None
) -> None:
    group, name = setting
    recorded = json.loads(Settings().to_json())
    now = recorded[group][name]
    recorded[group][name] = before
    line = f"{group}.{name.replace('_', '-')}: recorded {before!r}, now {now!r}"

    assert differences(json.dumps(recorded), Settings()) == [line] * (before != now)


def test_every_differing_setting_has_a_line() -> None:
    old, new = Settings(), Settings(seed=1, space="other", retrain=RetrainSettings(top_k=9))

    assert [line.partition(":")[0] for line in differences(old.to_json(), new)] == [
        "retrain.top-k",
        "seed",
        "space",
    ]


def test_a_setting_that_the_record_does_not_know_yet_had_its_default() -> None:
    recorded = json.loads(Settings().to_json())
    del recorded["search"]["parents"]
    other = Settings(search=SearchSettings(parents=11))

    assert differences(json.dumps(recorded), Settings()) == []
    assert differences(json.dumps(recorded), other) == ["search.parents: recorded 10, now 11"]


def test_the_record_holds_every_setting() -> None:
    recorded = json.loads(Settings().to_json())

    assert recorded == json.loads(json.dumps(dataclasses.asdict(Settings())))


@pytest.mark.parametrize(("text", "expected"), [("330M", 330_000_000), ("1e6", 1_000_000)])
def test_a_limit_on_the_command_line_takes_a_letter(text: str, expected: int) -> None:
    assert tyro.cli(Settings, args=["--max-macs", text]).max_macs == expected


def test_a_flag_of_a_group_is_named_as_errors_name_it() -> None:
    args = ["--search.mutation-probability", "0.3", "--pretrain.label-smoothing", "0.2"]
    settings = tyro.cli(Settings, args=args)

    assert settings.search.mutation_probability == 0.3
    assert settings.pretrain.label_smoothing == 0.2


@pytest.mark.parametrize(
    "group",
    [
        ImageSettings,
        PretrainSettings,
        SearchSettings,
        DifferentiableSettings,
        RetrainSettings,
        Settings,
    ],
)
def test_every_setting_is_a_flag(group: type, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_dataclass(group)
    with pytest.raises(SystemExit):
        tyro.cli(group, args=["--help"])
    printed = capsys.readouterr().out
    for item in fields(group):
        if item.name not in GROUPS:
            assert f"--{item.name.replace('_', '-')}" in printed


@pytest.mark.parametrize("warmup", [15.0, 16.5])
def test_a_warm_up_that_leaves_the_schedule_no_epoch_is_refused(warmup: float) -> None:
    with pytest.raises(UserError, match=r"--retrain.warmup-epochs .* --retrain.epochs 15: wanted"):
        Settings(retrain=RetrainSettings(warmup_epochs=warmup))
    assert Settings(retrain=RetrainSettings(warmup_epochs=14.9)).retrain.warmup_epochs == 14.9


def test_settings_of_differentiable_searches_decide_nothing_of_other_runs() -> None:
    gates = DifferentiableSettings(epochs=3)
    pretrain = PretrainSettings(epochs=0)
    search = SearchSettings(strategy="differentiable")

    assert Settings(differentiable=gates).digest == Settings().digest
    used = Settings(pretrain=pretrain, search=search)
    assert dataclasses.replace(used, differentiable=gates).digest != used.digest


@pytest.mark.parametrize(("top_k", "seeds", "networks"), [(3, 1, 1), (3, 5, 3), (2, 2, 2)])
def test_a_differentiable_search_retrains_a_network_a_seed_at_most(
    top_k: int, seeds: int, networks: int
) -> None:
    settings = Settings(
        pretrain=PretrainSettings(epochs=0),
        search=SearchSettings(strategy="differentiable"),
        differentiable=DifferentiableSettings(seeds=seeds),
        retrain=RetrainSettings(top_k=top_k),
    )

    assert settings.num_winners == networks
    assert Settings(retrain=RetrainSettings(top_k=top_k)).num_winners == top_k


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (
            {"trainings": 3},
            r"--trainings 3 with --search differentiable: there is no score to learn",
        ),
        ({"objectives": "score,macs"}, r"--search differentiable with --objectives score,macs"),
    ],
)
def test_what_a_differentiable_search_cannot_do_is_refused(
    others: dict[str, Any], words: str
) -> None:
    objectives = others.get("objectives", "score")
    with pytest.raises(UserError, match=words):
        Settings(
            pretrain=PretrainSettings(epochs=0),
            search=SearchSettings(strategy="differentiable", objectives=objectives),
            trainings=others.get("trainings"),
        )


def test_who_computes_may_change_when_a_run_is_continued_and_what_is_computed_may_not() -> None:
    free = Settings(pretrain=PretrainSettings(workers=3, checkpoint_seconds=9.0, recompute=True))
    free = replace(free, retrain=RetrainSettings(checkpoint_seconds=9.0))
    other = Settings(pretrain=PretrainSettings(batch=32))

    assert differences(Settings().to_json(), free) == []
    assert free.digest == Settings().digest
    assert differences(Settings().to_json(), other) == ["pretrain.batch: recorded 64, now 32"]
    assert other.digest != Settings().digest


LATER = (
    "architecture",
    "start",
    "rivals",
    "search.path-bonus",
    "images.parts",
    "images.bits",
    "images.verify",
    "images.colour-jitter",
    "images.crop-area",
    "images.crop-aspect",
    "images.evaluation-ratio",
    "retrain.compile",
    "retrain.on",
    "retrain.final-k",
    "pretrain.bins-from",
    "pretrain.bins-to",
    "pretrain.bin-width",
    "pretrain.last-rate",
    "pretrain.dropout",
    "search.recalibration-batch",
    "min-macs",
    "min-params",
    "recipe",
    "images.lighting",
    "retrain.optimiser",
    "retrain.schedule",
    "retrain.schedule-decay",
    "retrain.warmup-epochs",
    "retrain.nesterov",
    "retrain.decayed",
    "retrain.recalibration-batches",
    "retrain.mixup",
    "retrain.cutmix",
    "retrain.augment",
    "retrain.random-erasing",
    "retrain.cutout",
    "retrain.auxiliary",
    "retrain.class-weights",
    "retrain.inherited-factor",
    "retrain.teacher",
    "retrain.teacher-weight",
    "retrain.temperature",
    "budget",
    "retrain.seen",
    "retrain.least-steps",
)


def test_settings_that_came_later_name_another_folder_and_none_names_the_one_of_older_runs() -> (
    None
):
    named = named_before(flat(json.loads(Settings().to_json())))
    older = {
        name: value
        for name, value in named.items()
        if name not in {*FREE, *LATER} and not name.startswith("differentiable.")
    }
    digest = hashlib.sha256(json.dumps(older, sort_keys=True).encode()).hexdigest()[:6]

    assert Settings().digest == digest
    assert Settings(search=SearchSettings(path_bonus=0.1)).digest != digest
    assert Settings(images=ImageSettings(parts="none")).digest != digest
    assert Settings(images=ImageSettings(bits=12)).digest != digest
    assert Settings(retrain=RetrainSettings(compile=True)).digest != digest
    assert Settings(retrain=RetrainSettings(mixup=0.2)).digest != digest
    assert Settings(images=ImageSettings(lighting=0.1)).digest != digest
    assert Settings(retrain=RetrainSettings(on="all")).digest != digest


@pytest.mark.parametrize(
    ("retrain", "strategy", "first", "finals"),
    [
        ({}, "evolution", "train", 0),
        ({"top_k": 1}, "evolution", "train", 0),
        ({"on": "all"}, "evolution", "train", 1),
        ({"on": "all", "final_k": 3}, "exact", "train", 3),
        ({"on": "all", "top_k": 1}, "exact", "all", 0),  # nothing to choose: paid for once
        ({"on": "all", "top_k": 1}, "calibrated", "train", 1),  # which learns from accuracies
        ({"on": "all", "top_k": 1, "scheduler": "asha"}, "exact", "train", 1),
    ],
)
def test_the_first_training_is_on_all_images_where_nothing_has_to_be_chosen(
    retrain: dict[str, Any], strategy: Any, first: str, finals: int
) -> None:
    search = SearchSettings(strategy=strategy)
    settings = Settings(search=search, retrain=RetrainSettings(**retrain))

    assert (settings.first_trained_on, settings.num_finals) == (first, finals)


def test_of_one_differentiable_search_the_network_is_trained_once() -> None:
    searches = DifferentiableSettings(seeds=1)
    settings = Settings(
        search=SearchSettings(strategy="differentiable"),
        differentiable=searches,
        retrain=RetrainSettings(on="all"),
    )

    assert (settings.first_trained_on, settings.num_finals) == ("all", 0)


@pytest.mark.parametrize(
    ("retrain", "sentence"),
    [
        ({"final_k": 2}, "--retrain.final-k 2 with --retrain.on train: no network is trained once"),
        (
            {"on": "all", "final_k": 4},
            "--retrain.final-k 4: the run retrains 3 networks, wanted no more than these",
        ),
    ],
)
def test_final_trainings_of_networks_that_there_are_not_are_refused(
    retrain: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        Settings(retrain=RetrainSettings(**retrain))

    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*INDICATOR_SCORES, "accuracy"])
def test_a_score_of_a_supernet_needs_a_pretraining(name: Any) -> None:
    pretrain = PretrainSettings(epochs=0)

    with pytest.raises(UserError, match=f"--pretrain.epochs 0 with --search.score {name}"):
        Settings(pretrain=pretrain, search=SearchSettings(score=name))


@pytest.mark.parametrize("name", sorted(ZERO_COST_SCORES))
def test_a_zero_cost_score_needs_none_and_no_indicators(name: Any) -> None:
    for pretrain in (
        PretrainSettings(epochs=0),
        PretrainSettings(epochs=0, layer_indicator="none", sampling="fair"),
    ):
        settings = Settings(pretrain=pretrain, search=SearchSettings(score=name))
        assert settings.search.strategy == "evolution"


@pytest.mark.parametrize("strategy", ["exact", "calibrated"])
def test_strategies_that_need_a_sum_over_layers_refuse_other_scores(strategy: Any) -> None:
    for name in (*INDICATOR_SCORES, "accuracy", *sorted(ZERO_COST_SCORES)):
        search = SearchSettings(strategy=strategy, score=name)
        if name in INDICATOR_SCORES:
            assert Settings(search=search).search == search
            continue
        with pytest.raises(UserError, match=f"--search {strategy} with --search.score {name}: it"):
            Settings(search=search)


def test_how_many_score_at_a_time_may_change_when_a_run_goes_on_and_the_check_may_not() -> None:
    recorded = Settings().to_json()

    assert differences(recorded, Settings(search=SearchSettings(concurrent=7))) == []
    assert differences(recorded, Settings(trainings=5)) == ["trainings: recorded None, now 5"]
    strategy = SearchSettings(strategy="exact")
    assert differences(recorded, Settings(search=strategy)) == [
        "search.strategy: recorded 'evolution', now 'exact'"
    ]


def test_a_run_that_had_no_rivals_by_default_goes_on_without_and_other_runs_keep_theirs() -> None:
    older = Settings(rivals="none").to_json()

    assert differences(older, Settings()) == []
    assert differences(Settings().to_json(), Settings(rivals="none")) == [
        "rivals: recorded 'auto', now 'none'"
    ]
    assert differences(older, Settings(rivals="random")) == [
        "rivals: recorded 'none', now 'random'"
    ]
    assert Settings(rivals="none").digest != Settings().digest


@pytest.mark.parametrize(
    ("rivals", "names", "is_auto"),
    [
        ("auto", (), True),
        ("none", (), False),
        (" resnet18, auto,random,resnet18 ", ("resnet18", "random"), True),
    ],
)
def test_rivals_are_names_each_once_and_auto_stands_beside_them(
    rivals: str, names: tuple[str, ...], is_auto: bool
) -> None:
    settings = Settings(rivals=rivals)

    assert (settings.rival_names, settings.has_auto_rivals) == (names, is_auto)


def test_rivals_that_are_none_and_others_are_refused() -> None:
    with pytest.raises(UserError, match=r"^--rivals none, auto: got none and others; leave"):
        Settings(rivals="none, auto")


class TestObjectives:
    @pytest.mark.parametrize(
        ("objectives", "goals"),
        [
            ("score", ()),
            ("score,macs", ("macs",)),
            ("score, latency", ("latency",)),
            ("score,params,macs", ("params", "macs")),
        ],
    )
    def test_they_name_the_costs_beside_the_score_in_their_order(
        self, objectives: str, goals: tuple[str, ...]
    ) -> None:
        assert SearchSettings(objectives=objectives).goals == goals

    def test_a_record_of_selection_pareto_is_read_as_the_objectives_that_it_meant(self) -> None:
        recorded = json.loads(Settings().to_json())
        recorded["search"]["selection"] = "pareto"
        wanted = Settings(search=SearchSettings(objectives="score,macs,params"))

        assert Settings.from_json(json.dumps(recorded)).search.goals == ("macs", "params")
        assert differences(json.dumps(recorded), wanted) == []
        recorded["search"] |= {"objectives": "score,latency"}
        assert Settings.from_json(json.dumps(recorded)).search.goals == ("latency",)

    @pytest.mark.parametrize(
        ("objectives", "hint"),
        [
            ("score,mac", "no objective 'mac'; did you mean macs"),
            ("score,accuracy", "known are score, macs, params, latency"),
            ("macs,score", "wanted score first"),
            ("score,macs,macs", "each once"),
            ("", "no objective ''"),
        ],
    )
    def test_what_is_no_list_of_them_is_refused(self, objectives: str, hint: str) -> None:
        with pytest.raises(UserError, match=hint):
            Settings(search=SearchSettings(objectives=objectives))

    @pytest.mark.parametrize(
        ("search", "retrain", "hint"),
        [
            (SearchSettings(strategy="calibrated", objectives="score,macs"), {}, "not a front"),
            (
                SearchSettings(strategy="exact", objectives="score,macs,params"),
                {},
                "one cost beside the score",
            ),
            (
                SearchSettings(strategy="exact", objectives="score,macs", min_distance=2),
                {},
                "keeps no distances",
            ),
            (SearchSettings(objectives="score,macs"), {"scheduler": "asha"}, "use fifo"),
            (SearchSettings(objectives="score,latency"), {}, "--latency-table FILE"),
        ],
    )
    def test_what_cannot_follow_several_refuses_them(
        self, search: SearchSettings, retrain: dict[str, Any], hint: str
    ) -> None:
        with pytest.raises(UserError, match=hint):
            Settings(search=search, retrain=RetrainSettings(**retrain))

    def test_a_limit_of_latency_needs_measurements(self) -> None:
        with pytest.raises(UserError, match=r"--max-latency: nobody has measured .*latency.py"):
            Settings(max_latency=1)
        limits = Settings(max_latency=1, latency_table="t.parquet").limits
        assert limits == Limits(max_latency=1)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (Settings(), 8),  # 3 networks of 15 epochs, half of which are 7 trainings of 3
        (Settings(retrain=RetrainSettings(top_k=5, epochs=20)), 16),
        (Settings(retrain=RetrainSettings(top_k=5, epochs=240)), 32),
        (Settings(training_epochs=10, retrain=RetrainSettings(top_k=10, epochs=60)), 30),
        (Settings(trainings=0), 0),
        (Settings(trainings=100), 100),
        (Settings(search=SearchSettings(score="accuracy")), 0),
        (Settings(search=SearchSettings(score="saliency", strategy="exact")), 8),
        (Settings(search=SearchSettings(strategy="calibrated")), 0),
    ],
)
def test_a_score_that_is_a_sum_learns_from_what_half_of_the_retraining_takes(
    settings: Settings, count: int
) -> None:
    assert settings.num_trainings == count


@pytest.mark.parametrize(
    ("settings", "layers", "distance"),
    [
        (Settings(), 6, 2),
        (Settings(), 22, 5),
        (Settings(trainings=0), 22, 1),
        (Settings(trainings=0, search=SearchSettings(min_distance=3)), 22, 3),
        (Settings(search=SearchSettings(min_distance=7)), 22, 7),
        (Settings(search=SearchSettings(objectives="score,macs")), 22, 1),
        (Settings(trainings=0, search=SearchSettings(score="feature_error")), 22, 5),
    ],
)
def test_networks_found_by_a_learned_score_or_by_features_differ_in_a_fifth_of_the_layers(
    settings: Settings, layers: int, distance: int
) -> None:
    assert settings.winner_distance(layers) == distance


def test_a_short_training_counts_less_than_a_whole_one() -> None:
    assert Settings(training_epochs=3, retrain=RetrainSettings(epochs=15)).short_weight == 1 / 6
