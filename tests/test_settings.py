"""Settings: TOML methods, refusals that name the setting, and what differs on resume."""

import dataclasses
import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs import Limits
from raynas.errors import UserError
from raynas.settings import (
    ImageSettings,
    PretrainSettings,
    RetrainSettings,
    SearchSettings,
    Settings,
    differences,
    load_method,
)

GROUPS = ("images", "pretrain", "search", "retrain")


def write_method(folder: Path, text: str, name: str = "mine") -> Path:
    """Write a method's TOML file."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def setting_names() -> list[tuple[str, str]]:
    """Return the group and the name of every setting of a group."""
    return [(group, item.name) for group in GROUPS for item in fields(getattr(Settings(), group))]


def test_the_default_score_is_f1_and_the_default_search_is_as_spos_published_it() -> None:
    search = SearchSettings()

    assert search.score == "identity_ratio"
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


def test_a_method_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    write_method(
        tmp_path,
        """
        space = "shufflenet_v2"
        max-macs = 330_000_000
        [search]
        score = "bnnas"
        mutation-probability = 0.2
        parents = 5
        [pretrain]
        learning_rate = 1
        workers = 3
        """,
    )
    expected = Settings(
        method="mine",
        space="shufflenet_v2",
        max_macs=330_000_000,
        search=SearchSettings(score="bnnas", mutation_probability=0.2, parents=5),
        pretrain=PretrainSettings(learning_rate=1, workers=3),
    )

    assert load_method("mine", tmp_path) == expected


def test_a_persons_own_method_loads_by_path(tmp_path: Path) -> None:
    path = write_method(tmp_path, "seed = 3")

    assert load_method(str(path), Path("elsewhere")).seed == 3


@given(st.sampled_from(setting_names()), st.data())
def test_an_unknown_key_names_the_nearest_known_one(
    tmp_path_factory: pytest.TempPathFactory, setting: tuple[str, str], data: st.DataObject
) -> None:
    group, name = setting
    cut = data.draw(st.integers(0, len(name) - 1))
    typo = name[:cut] + name[cut] * 2 + name[cut + 1 :]

    path = write_method(tmp_path_factory.mktemp("methods"), f"[{group}]\n{typo} = 1\n")
    with pytest.raises(UserError) as refusal:
        load_method(str(path), Path())
    assert f"no setting '{typo}'" in str(refusal.value)
    assert f"did you mean {name}?" in str(refusal.value)


def test_a_key_like_no_other_is_refused_with_all_that_are_known(tmp_path: Path) -> None:
    write_method(tmp_path, "[search]\nxyzzy = 1")

    with pytest.raises(UserError, match=r"'xyzzy'; known are crossovers, .*score"):
        load_method("mine", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        'batch = "64"',
        "batch = 64.5",
        "records = true",
        "epochs = false",
        'epochs = "20"',
        'layer-indicator = "sideways"',
        "layer-indicator = 1",
        'workers = "two"',
        "workers = true",
        "gpus-per-worker = true",
        "clip = [5.0]",
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_name(line: str, tmp_path: Path) -> None:
    write_method(tmp_path, f"[pretrain]\n{line}")

    with pytest.raises(UserError, match=f"{line.split(' ', maxsplit=1)[0]} = .* is not of type"):
        load_method("mine", tmp_path)


@pytest.mark.parametrize("line", ["layer-weight-sign = 2", "layer-weight-sign = true"])
def test_a_choice_outside_the_listed_ones_is_refused(line: str, tmp_path: Path) -> None:
    write_method(tmp_path, f"[search]\n{line}")

    with pytest.raises(UserError, match=r"layer-weight-sign = .* is not of type"):
        load_method("mine", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("search = 1", "'search' is a table"), ("[seed]\nx = 1", "'seed' is no table")],
)
def test_a_table_for_a_number_and_a_number_for_a_table_are_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    write_method(tmp_path, text)

    with pytest.raises(UserError, match=message):
        load_method("mine", tmp_path)


def test_a_missing_method_names_the_nearest_one(tmp_path: Path) -> None:
    write_method(tmp_path, "", name="fair_isometry")

    with pytest.raises(UserError, match="did you mean fair_isometry"):
        load_method("fair_isometri", tmp_path)


def test_a_file_that_is_no_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    write_method(tmp_path, "seed = = 1")

    with pytest.raises(UserError, match=r"mine\.toml is no valid TOML: .*line 1"):
        load_method("mine", tmp_path)


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
        ("pretrain", "epochs", 0.0),
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
        ("retrain", "top_k", 0),
        ("retrain", "epochs", 0),
        ("retrain", "batch", 1),
        ("retrain", "label_smoothing", 1.0),
        ("retrain", "ema_decay", 1.0),
        ("retrain", "max_failures", -1),
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


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="--seed: got -1, wanted at least 0"):
        Settings(seed=-1)


def test_delta_initialisation_is_refused_for_a_search() -> None:
    with pytest.raises(UserError, match="delta makes depthwise kernels of all sizes the same"):
        Settings(pretrain=PretrainSettings(initialisation="delta"))


def test_settings_do_not_differ_from_their_own_record() -> None:
    settings = Settings(max_macs=10, search=SearchSettings(parents=3))

    assert differences(settings.to_json(), settings) == []


def changed(value: Any) -> Any:
    """Return another value that the checks let pass."""
    if value is None:
        return 7
    if isinstance(value, str):
        return f"{value}x"
    return value / 2 if isinstance(value, float) else value + 1


@given(st.sampled_from(setting_names()))
def test_a_difference_names_the_setting_what_was_recorded_and_what_is_now(
    setting: tuple[str, str],
) -> None:
    group, name = setting
    old = Settings()
    before = getattr(getattr(old, group), name)
    after = changed(before)
    new = replace(old, **{group: replace(getattr(old, group), **{name: after})})
    line = f"{group}.{name.replace('_', '-')}: recorded {before!r}, now {after!r}"

    assert differences(old.to_json(), new) == [line]


def test_every_differing_setting_has_a_line() -> None:
    old, new = Settings(), Settings(seed=1, space="other", retrain=RetrainSettings(top_k=9))

    assert [line.partition(":")[0] for line in differences(old.to_json(), new)] == [
        "retrain.top-k", "seed", "space",
    ]  # fmt: skip


def test_a_setting_that_the_record_does_not_know_yet_is_named() -> None:
    recorded = json.loads(Settings().to_json())
    del recorded["search"]["parents"]

    assert differences(json.dumps(recorded), Settings()) == [
        "search.parents: recorded None, now 10"
    ]


def test_the_record_holds_every_setting() -> None:
    recorded = json.loads(Settings().to_json())

    assert recorded == dataclasses.asdict(Settings())


@pytest.mark.parametrize(("text", "expected"), [("330M", 330_000_000), ("1e6", 1_000_000)])
def test_a_limit_on_the_command_line_takes_a_letter(text: str, expected: int) -> None:
    assert tyro.cli(Settings, args=["--max-macs", text]).max_macs == expected


def test_a_flag_of_a_group_is_named_as_errors_name_it() -> None:
    args = ["--search.mutation-probability", "0.3", "--pretrain.layer-indicator", "none"]
    settings = tyro.cli(Settings, args=args)

    assert settings.search.mutation_probability == 0.3
    assert settings.pretrain.layer_indicator == "none"


@pytest.mark.parametrize(
    "group", [ImageSettings, PretrainSettings, SearchSettings, RetrainSettings, Settings]
)
def test_every_setting_is_a_flag(group: type, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_dataclass(group)
    with pytest.raises(SystemExit):
        tyro.cli(group, args=["--help"])
    printed = capsys.readouterr().out
    for item in fields(group):
        if item.name not in GROUPS:
            assert f"--{item.name.replace('_', '-')}" in printed
