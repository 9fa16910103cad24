"""The settings of published methods: differentiable ones from their files, others as published.

Sources: the published code of BN-NAS (bychen515/BNNAS) and of SPOS
(megvii-model/SinglePathOneShot), FairNAS (arXiv 1907.01845), and the paper (arXiv 2307.02263).
"""

from typing import Any

from raynas.settings.methods import load_method
from tests.builders import ROOT

METHODS = ROOT / "launch" / "settings"
PRDARTS, DARTS, PCDARTS = (
    load_method(name, METHODS).differentiable for name in ("prdarts", "darts", "pcdarts")
)

_EVOLUTION = {
    "search.strategy": "evolution",
    "search.generations": 20,
    "search.population": 50,
    "search.parents": 10,
    "search.mutations": 25,
    "search.crossovers": 25,
    "search.mutation-probability": 0.1,
}
_SGD = {"pretrain.optimiser": "sgd", "pretrain.momentum": 0.9}
_CROPS = {"images.resolution": 224, "images.crop": "random_resized", "images.crop-area": 0.08}
_ACCURACY = {
    "search.score": "accuracy",
    "search.recalibration-batches": 200,
    "search.recalibration-batch": 128,
    "search.score-images": 40 * 200,
}
_RETRAIN = {
    "retrain.epochs": 240,
    "retrain.batch": 1024,
    "retrain.optimiser": "sgd",
    "retrain.learning-rate": 0.5,
    "retrain.schedule": "linear",
    "retrain.warmup-epochs": 0.0,
    "retrain.momentum": 0.9,
    "retrain.nesterov": False,
    "retrain.weight-decay": 4e-5,
    "retrain.decayed": "weights",
    "retrain.label-smoothing": 0.1,
    "retrain.clip": 0.0,
    "retrain.dropout": 0.1,
    "retrain.ema-decay": 0.0,
    "retrain.on": "all",
}
_RETRAIN_BN_NAS = {
    **_RETRAIN,
    "retrain.decayed": "convolutions",
    "retrain.clip": 5.0,
    "retrain.dropout": 0.2,
    "images.lighting": 0.1,
}
_BN_NAS = {
    **_RETRAIN_BN_NAS,
    **_EVOLUTION,
    **_SGD,
    **_CROPS,
    "images.crop-aspect": 1.0,
    "max-macs": 475_000_000,
    "pretrain.batch": 512,
    "pretrain.learning-rate": 0.25,
    "pretrain.label-smoothing": 0.1,
    "pretrain.clip": 5.0,
    "pretrain.weight-decay": 0.0,
    "pretrain.trainable": "last_bn",
    "pretrain.classifier-rate": 0.0,
}
_LINEAR = {"pretrain.schedule": "linear", "pretrain.last-rate": 5e-4}
_PAPER = {"pretrain.initialisation": "qr", "pretrain.schedule": "cosine", "pretrain.last-rate": 0.0}

IMAGENET: dict[str, dict[str, Any]] = {
    "isometry_block": {
        **_BN_NAS,
        **_PAPER,
        "space": "mobilenet_v2_bnnas",
        "pretrain.epochs": 80,
        "pretrain.sampling": "fair",
        "pretrain.layer-indicator": "none",
        "search.score": "bnnas",
    },
    "isometry": {
        **_BN_NAS,
        **_PAPER,
        "space": "mobilenet_v2",
        "pretrain.epochs": 120,
        "pretrain.sampling": "fair_identity",
        "pretrain.layer-indicator": "path",
        "search.score": "identity_ratio",
    },
    "bnnas_spos": {
        **_BN_NAS,
        **_LINEAR,
        "space": "mobilenet_v2_bnnas",
        "pretrain.initialisation": "gaussian",
        "pretrain.epochs": 10,
        "pretrain.shards": 8,
        "pretrain.sampling": "uniform",
        "pretrain.layer-indicator": "none",
        "search.score": "bnnas",
    },
    "bnnas_fairnas": {
        **_BN_NAS,
        **_LINEAR,
        "space": "mobilenet_v2_bnnas",
        "pretrain.initialisation": "gaussian",
        "pretrain.epochs": 15,
        "pretrain.sampling": "fair",
        "pretrain.layer-indicator": "none",
        "search.score": "bnnas",
    },
    "spos": {
        **_RETRAIN,
        "retrain.recalibration-batches": 1250,
        **_EVOLUTION,
        **_SGD,
        **_CROPS,
        **_ACCURACY,
        "images.colour-jitter": 0.4,
        "space": "shufflenet_v2",
        "max-macs": 330_000_000,
        "pretrain.epochs": 120,
        "pretrain.batch": 1024,
        "pretrain.learning-rate": 0.5,
        "pretrain.classifier-rate": 0.5,
        "pretrain.weight-decay": 4e-5,
        "pretrain.schedule": "linear",
        "pretrain.last-rate": 0.0,
        "pretrain.label-smoothing": 0.1,
        "pretrain.dropout": 0.1,
        "pretrain.clip": 0.0,
        "pretrain.initialisation": "spos",
        "pretrain.trainable": "weights",
        "pretrain.sampling": "macs_bins",
        "pretrain.bins-from": 290_000_000,
        "pretrain.bins-to": 360_000_000,
        "pretrain.bin-width": 10_000_000,
    },
    "fairnas": {
        **_RETRAIN,
        **_SGD,
        "space": "mobilenet_v2",
        "pretrain.epochs": 150,
        "pretrain.batch": 1024,
        "pretrain.learning-rate": 0.045,
        "pretrain.classifier-rate": 0.045,
        "pretrain.weight-decay": 4e-5,
        "pretrain.schedule": "cosine",
        "pretrain.trainable": "all",
        "pretrain.sampling": "fair",
        "search.score": "accuracy",
        "search.objectives": "score,macs,params",
    },
}
"""What was published for ImageNet of each method in launch/settings/imagenet, by flag."""
