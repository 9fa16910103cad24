"""Methods: TOML files of settings, checked key by key and type by type."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.settings.methods import load_method, method_label
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.settings.toml_files import names_in
from tests.builders import setting_names


def write_method(folder: Path, text: str, name: str = "mine") -> Path:
    """Write a method's TOML file."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_method_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    write_method(
        tmp_path,
        """
        space = "shufflenet_v2"
        max-macs = 330_000_000
        min-macs = "0.3G"
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
        min_macs=300_000_000,
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

    with pytest.raises(UserError, match=r"'xyzzy'; known are breeding, concurrent, .*score"):
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


def test_a_method_in_a_folder_has_the_folder_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    write_method(tmp_path / "large", '[pretrain]\nbins-from = "290M"')
    write_method(tmp_path, "")
    loaded = load_method("large/mine", tmp_path)

    assert (loaded.method, loaded.pretrain.bins_from) == ("large/mine", 290_000_000)
    assert names_in(tmp_path) == ["large/mine", "mine"]
    with pytest.raises(UserError, match="known are large/mine, mine"):
        load_method("xyzzy", tmp_path)


@pytest.mark.parametrize(
    ("method", "label"),
    [("spos", "spos"), ("imagenet/spos", "imagenet-spos"), ("some/where/own.toml", "own")],
)
def test_a_folder_of_a_run_bears_a_method_s_label(method: str, label: str) -> None:
    assert method_label(method) == label


def test_a_file_that_is_no_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    write_method(tmp_path, "seed = = 1")

    with pytest.raises(UserError, match=r"mine\.toml is no valid TOML: .*line 1"):
        load_method("mine", tmp_path)
