"""The names that programs may rely on: a run in a few lines of Python, and its parts.

A run is what ``launch/search.py`` does, and continues in the same way:

    from raynas.api import Settings, load_network, open_run, pretrain, retrain, score, search

    with open_run(Settings(max_macs=400_000), "runs/mine") as run:
        supernet = pretrain(run)
        scores = score(run, supernet)
        winners = search(run, scores)
        retrain(run, winners)

    network = load_network("runs/mine")

Every other name of raynas may change from one version to the next.
"""

from raynas.cluster.learning import learn
from raynas.cluster.planning.plan import Plan
from raynas.cluster.pretraining import pretrain
from raynas.cluster.retraining import retrain
from raynas.cluster.rivals import train_rivals
from raynas.cluster.run import Run
from raynas.cluster.run_setup import Options, open_run
from raynas.cluster.searching import find_winners, score, search
from raynas.cluster.strategies.strategy import Scores, Winners
from raynas.cluster.teaching import train_teacher
from raynas.costs.costs import Cost, CostTable, Limits
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.errors import StageError, UserError
from raynas.nets.cost import cost_table
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import Identity, MBConv, Shuffle, ShuffleXception
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.stems_heads import ConvStem, PooledHead, TwoLayerHead
from raynas.nets.subnet import subnet
from raynas.nets.supernet import Supernet
from raynas.reporting.calibration_error import reliability
from raynas.reporting.confidence import wilson
from raynas.reporting.paired import compare_paired
from raynas.reporting.resolutions import compare_resolutions
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.evolution import Evolution
from raynas.search.exact import best, k_best
from raynas.search.indicators import AdditiveScorer, Indicators, score_table
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.export import ExportSettings
from raynas.settings.given import given
from raynas.settings.images import ImageSettings
from raynas.settings.methods import load_method
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.recipes import load_recipe
from raynas.settings.resolutions import at_resolutions
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import ChoiceBlock, Head, Operation, SearchSpace, Stem
from raynas.spaces.genotype import Genotype
from raynas.spaces.loading import load_space
from raynas.storage.run_store import RunStore
from raynas.training.pretraining import Pretraining
from raynas.training.starts.member import load_start
from raynas.training.starts.start import Start
from raynas.training.trained_networks import load_network, searched_space

__all__ = [
    "AdditiveScorer",
    "Architecture",
    "CellSpace",
    "ChoiceBlock",
    "ConvStem",
    "Cost",
    "CostTable",
    "Dataset",
    "DifferentiableSettings",
    "Evolution",
    "ExportSettings",
    "Genotype",
    "Head",
    "Identity",
    "ImageSettings",
    "Indicators",
    "InvertedResidual",
    "LegalSampler",
    "Limits",
    "MBConv",
    "Operation",
    "Options",
    "Plan",
    "PooledHead",
    "PretrainSettings",
    "Pretraining",
    "RetrainSettings",
    "Run",
    "RunStore",
    "Scores",
    "SearchSettings",
    "SearchSpace",
    "Settings",
    "Shuffle",
    "ShuffleXception",
    "SqueezeExcitation",
    "StageError",
    "Start",
    "Stem",
    "Supernet",
    "TwoLayerHead",
    "UserError",
    "Winners",
    "at_resolutions",
    "best",
    "compare_paired",
    "compare_resolutions",
    "cost_table",
    "find_winners",
    "given",
    "k_best",
    "learn",
    "load_dataset",
    "load_method",
    "load_network",
    "load_recipe",
    "load_space",
    "load_start",
    "open_run",
    "pretrain",
    "reliability",
    "retrain",
    "score",
    "score_table",
    "search",
    "searched_space",
    "subnet",
    "train_rivals",
    "train_teacher",
    "wilson",
]
