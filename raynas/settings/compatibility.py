"""Which methods fit which kind of space, said before any image is read."""

from raynas.errors import UserError
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.scores import INDICATOR_SCORES, ZERO_COST_SCORES
from raynas.settings.settings import Settings
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import SearchSpace
from raynas.spaces.protocol import Space
from raynas.storage.uris import shown


def refuse_unfit(space: Space, settings: Settings) -> None:
    """Refuse what needs layers in a chain where networks are cells, and the other way round.

    A supernet of single paths, its batch-norm indicators and tables of latencies belong to layers.

    Raises:
        UserError: Names what does not fit, and what does.
    """
    _refuse_named(settings)
    _refuse_path_bonus(space, settings)
    _refuse_start(space, settings)
    if settings.search.traits.is_differentiable:
        _refuse_unfit_gates(space, settings)
    if isinstance(space, SearchSpace):
        _refuse_drop_path(space, settings)
        _refuse_auxiliary(space, settings)
        return
    if settings.pretrain.epochs > 0 or settings.search.reads_start:
        fitting = ", ".join(sorted(ZERO_COST_SCORES))
        what = "reads weights" if settings.search.reads_start else "pretrains a supernet"
        raise UserError(
            f"--space {space.name} with --method {settings.method}: it {what} whose "
            f"layers stand in a chain, but {space.name} is a space of cells; use a method without "
            f"pretraining ({fitting}), a differentiable search (prdarts, pcdarts, darts), or a "
            "space such as small_mobile"
        )
    if settings.latency_table is not None:
        raise UserError(
            f"--space {space.name} with --latency-table: tables of latencies hold layers in a "
            f"chain, but {space.name} is a space of cells; limit it by --max-macs or --max-params"
        )


def _refuse_named(settings: Settings) -> None:
    """Refuse a search beside architectures that are named, and neither of the two."""
    if bool(settings.architecture) == (settings.search.strategy == "given"):
        return
    if not settings.architecture:
        raise UserError("--search given: no architecture is named; add --architecture A")
    raise UserError(
        f"--architecture with --search {settings.search.strategy}: named networks are trained "
        "without a search; in Python, pass the settings through raynas.api.given"
    )


def _refuse_start(space: Space, settings: Settings) -> None:
    """Refuse trained weights where networks are cells, and a score of them where there are none."""
    is_chain = isinstance(space, SearchSpace)
    if is_chain and settings.start is None and settings.search.reads_start:
        raise UserError(
            f"--search.score {settings.search.score}: it is read off trained weights, and "
            "none are named; add --start SOURCE, such as efficientnet_lite0"
        )
    if settings.start is not None and not is_chain:
        raise UserError(
            f"--start {shown(settings.start)} with --space {space.name}: layers in a "
            f"chain inherit trained weights, but {space.name} is a space of cells; leave --start "
            "out, or use a space such as efficientnet_lite0"
        )


def _refuse_drop_path(space: SearchSpace, settings: Settings) -> None:
    if settings.retrain.drop_path > 0:
        raise UserError(
            f"--retrain.drop-path {settings.retrain.drop_path:g} with --space {space.name}: layers "
            "in a chain cannot be dropped, only operations of cells; leave it at 0, use "
            "--retrain.dropout, or a space such as darts_cells"
        )


def _refuse_auxiliary(space: SearchSpace, settings: Settings) -> None:
    if settings.retrain.auxiliary > 0:
        raise UserError(
            f"--retrain.auxiliary {settings.retrain.auxiliary:g} with --space {space.name}: a "
            "second classifier reads a cell, but its layers stand in a chain; leave it at 0, or "
            "use a space such as darts_cells"
        )


def _refuse_unfit_gates(space: Space, settings: Settings) -> None:
    cells_for(space, settings.differentiable)
    if settings.pretrain.epochs > 0:
        raise UserError(
            f"--search differentiable with --pretrain.epochs {settings.pretrain.epochs:g}: it "
            "pretrains no supernet, since its weights and its gates learn together; use --method "
            "prdarts, pcdarts or darts, or set --pretrain.epochs 0"
        )


def _refuse_path_bonus(space: Space, settings: Settings) -> None:
    """Refuse a bonus on paths where it would be the same for all architectures, or nowhere."""
    bonus, why = settings.search.path_bonus, _without_paths(space, settings)
    if bonus and why:
        raise UserError(f"--search.path-bonus {bonus:g}: {why}, or leave it at 0")


def _without_paths(space: Space, settings: Settings) -> str:
    """Return why a path bonus can do nothing, and what fits; nothing where it can."""
    score, indicator = settings.search.score, settings.pretrain.layer_indicator
    if settings.search.traits.is_differentiable:
        return (
            "a differentiable search has no score to add it to, but a path term of its own; use "
            "--differentiable.path-weight"
        )
    if score not in INDICATOR_SCORES:
        fitting = ", ".join(INDICATOR_SCORES)
        return (
            f"--search.score {score} is no sum over indicators to add it to; use one of {fitting}"
        )
    if not isinstance(space, SearchSpace):
        return (
            f"cells of {space.name} are no layers to be skipped; use a space such as small_mobile"
        )
    normal = [each for each in space.blocks if not each.is_reduction and each.size > 1]
    if not normal:
        return f"no layer of {space.name} can be skipped; use a space such as small_mobile"
    if indicator == "path" or (
        indicator == "parallel" and any(each.identity is not None for each in normal)
    ):
        return ""
    return (
        f"with --pretrain.layer-indicator {indicator} no layer of {space.name} has both an "
        "identity to choose and an indicator of it; use path, and --pretrain.sampling fair_identity"
    )


def cells_for(space: Space, settings: DifferentiableSettings) -> CellSpace:
    """Return a space as one of cells, where a differentiable search can weigh its operations.

    Raises:
        UserError: Its networks are layers in a chain, or its edges have too few operations.
    """
    if not isinstance(space, CellSpace):
        raise UserError(
            f"--space {space.name} with a differentiable search: it weighs operations on the edges "
            f"of cells, but the layers of {space.name} stand in a chain; use a space such as "
            "darts_cells, or another method, such as fair_saliency"
        )
    operations = len(space.operations)
    if settings.gates == "hard_concrete" and settings.open_gates > operations:
        raise UserError(
            f"--differentiable.open-gates {settings.open_gates} with --space {space.name}: wanted "
            f"at most {operations}, which is how many operations an edge has"
        )
    return space
