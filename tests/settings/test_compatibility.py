"""What does not fit cells is refused in a sentence that names what does, and nothing else is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raynas.cluster.run_setup import load
from raynas.errors import UserError
from raynas.search.indicators import score_table
from raynas.settings.compatibility import cells_for, refuse_unfit
from raynas.settings.methods import load_method
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space
from raynas.training.trained_networks import searched_space
from tests.builders import ROOT, build_indicators, build_space, shipped_cells
from tests.settings.published import DARTS, PRDARTS

METHODS = ROOT / "launch" / "settings"
FREE = {"random", "naswot", "synflow", "snip", "grad_norm", "jacob_cov", "zico"}
BY_GATES = {"prdarts", "darts", "pcdarts"}


@pytest.mark.parametrize("method", sorted(file.stem for file in METHODS.glob("*.toml")))
def test_methods_without_a_pretraining_fit_cells_and_others_are_told_which_do(method: str) -> None:
    settings = load_method(method, METHODS)
    if method in FREE | BY_GATES:
        refuse_unfit(shipped_cells(), settings)
        return
    with pytest.raises(UserError) as caught:
        refuse_unfit(shipped_cells(), settings)
    said = str(caught.value)

    assert said.startswith(f"--space darts_cells_small with --method {method}: ")
    assert all(free in said for free in FREE | BY_GATES)
    assert "\n" not in said


@pytest.mark.parametrize("method", sorted(file.stem for file in METHODS.glob("*.toml")))
def test_chains_take_every_method_but_differentiable_ones(method: str) -> None:
    """Refusing would raise, as the tests beside show."""
    settings = load_method(method, METHODS)
    assert settings.method == method
    if settings.search.reads_start:
        with pytest.raises(UserError, match=r"it is read off trained weights.* add --start"):
            refuse_unfit(build_space("RN"), settings)
        settings = replace(settings, start="weights.pth")
    if method not in BY_GATES:
        refuse_unfit(build_space("RN"), settings)
        return
    with pytest.raises(UserError, match=r"--space tiny .* such as darts_cells, or another method"):
        refuse_unfit(build_space("RN"), settings)


def test_a_differentiable_search_pretrains_nothing() -> None:
    settings = replace(load_method("prdarts", METHODS), pretrain=PretrainSettings(epochs=2))

    with pytest.raises(UserError, match=r"--pretrain.epochs 2: .* set --pretrain.epochs 0"):
        refuse_unfit(shipped_cells(), settings)


def test_layers_in_a_chain_take_no_drop_path() -> None:
    settings = replace(Settings(), retrain=RetrainSettings(drop_path=0.2))

    with pytest.raises(UserError, match=r"--retrain.drop-path 0.2 with --space tiny: .* at 0"):
        refuse_unfit(build_space("RN"), settings)
    refuse_unfit(
        shipped_cells(),
        replace(
            settings, pretrain=PretrainSettings(epochs=0.0), search=SearchSettings(score="random")
        ),
    )


def with_bonus(pretrain: PretrainSettings | None = None, **search: Any) -> Settings:
    """Return settings with a path bonus of 0.3."""
    return replace(
        Settings(),
        pretrain=pretrain or PretrainSettings(),
        search=SearchSettings(path_bonus=0.3, **search),
    )


PARALLEL = PretrainSettings(layer_indicator="parallel", sampling="fair")
BARE = PretrainSettings(layer_indicator="none", sampling="fair")
SKIPPABLE = build_space("RN", identity=True)


@pytest.mark.parametrize(
    ("space", "settings", "hint"),
    [
        (build_space("RR"), with_bonus(), "no layer of tiny can be skipped; use a space such as"),
        (build_space("RI"), with_bonus(), "no layer of tiny can be skipped"),
        (build_space("RN"), with_bonus(PARALLEL), "with --pretrain.layer-indicator parallel no"),
        (SKIPPABLE, with_bonus(BARE, score="bnnas"), "use path, and --pretrain.sampling fair_id"),
        (
            SKIPPABLE,
            with_bonus(score="accuracy"),
            "is no sum over indicators to add it to; use one of",
        ),
        (
            SKIPPABLE,
            with_bonus(PretrainSettings(epochs=0), score="naswot"),
            "--search.score naswot is no sum over indicators to add it to; use one of bnnas",
        ),
        (shipped_cells(), with_bonus(), "are no layers to be skipped; use a space such as"),
        (
            shipped_cells(),
            with_bonus(strategy="differentiable"),
            "path term of its own; use --differentiable.path-weight, or leave it at 0",
        ),
    ],
)
def test_a_path_bonus_that_could_change_nothing_is_refused_with_what_fits(
    space: Space, settings: Settings, hint: str
) -> None:
    with pytest.raises(UserError) as caught:
        refuse_unfit(space, settings)
    said = str(caught.value)

    assert said.startswith("--search.path-bonus 0.3: ")
    assert hint in said
    assert said.endswith(", or leave it at 0")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (build_space("RN"), with_bonus()),
        (SKIPPABLE, with_bonus(PARALLEL)),
        (SKIPPABLE, with_bonus(strategy="exact")),
        (SKIPPABLE, with_bonus(strategy="calibrated", score="bnnas")),
        (build_space("RR"), replace(with_bonus(), search=SearchSettings(path_bonus=0.0))),
    ],
)
def test_a_path_bonus_fits_where_identity_can_be_chosen(
    space: SearchSpace, settings: Settings
) -> None:
    """Refusing would raise, as the test above shows; scoring agrees about each space."""
    refuse_unfit(space, settings)
    searched = chain_of(searched_space(space, settings.pretrain.layer_indicator), "this test")
    table = score_table(build_indicators(searched), searched, settings.search)
    assert [len(row) for row in table] == [block.size for block in searched.blocks]


def test_trained_weights_do_not_fit_cells() -> None:
    settings = replace(load_method("random", METHODS), start="mobilenet_v2")
    refuse_unfit(build_space(), settings)
    with pytest.raises(UserError, match=r"--start mobilenet_v2 with --space .* a space of cells"):
        refuse_unfit(shipped_cells(), settings)


def test_a_table_of_latencies_does_not_fit_cells() -> None:
    settings = replace(load_method("random", METHODS), latency_table="table.parquet")

    with pytest.raises(UserError, match=r"--latency-table: .* limit it by --max-macs"):
        refuse_unfit(shipped_cells(), settings)


def test_an_auxiliary_head_fits_cells_and_no_chain() -> None:
    settings = replace(load_method("random", METHODS), retrain=RetrainSettings(auxiliary=0.4))

    refuse_unfit(shipped_cells(), settings)
    with pytest.raises(
        UserError, match=r"--retrain.auxiliary 0.4 with --space tiny: .* in a chain"
    ):
        refuse_unfit(build_space("RN"), settings)


def test_it_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--space darts_cells_small with --method fair_saliency"):
        load(Settings(space="darts_cells_small", data=str(tmp_path / "missing")))


def test_a_differentiable_search_takes_cells_and_no_chain() -> None:
    assert cells_for(shipped_cells(), PRDARTS) == shipped_cells()
    with pytest.raises(UserError, match=r"--space tiny .* such as darts_cells, or another method"):
        cells_for(build_space("RN"), PRDARTS)


def test_no_more_gates_can_be_open_than_an_edge_has() -> None:
    with pytest.raises(UserError, match=r"--differentiable.open-gates 9 .* at most 8"):
        cells_for(shipped_cells(), replace(PRDARTS, open_gates=9))
    cells_for(shipped_cells(), replace(PRDARTS, open_gates=8))
    cells_for(shipped_cells(), replace(DARTS, open_gates=9))  # a softmax has none
