"""Training, distillation and ensembles: from run files to folders with trained models."""

from mtl.api.ensembles import ensemble
from mtl.api.extension import Extended, extend
from mtl.api.one_run import load_teachers, load_transfer_set
from mtl.api.training import (
    TrainedModel,
    TrainedSeeds,
    distil,
    load,
    train,
    train_run,
    train_run_seeds,
    train_seeds,
)

__all__ = [
    "Extended",
    "TrainedModel",
    "TrainedSeeds",
    "distil",
    "ensemble",
    "extend",
    "load",
    "load_teachers",
    "load_transfer_set",
    "train",
    "train_run",
    "train_run_seeds",
    "train_seeds",
]
