"""From a run file to a model and its trainer: the only folder that knows all parts."""

from mtl.experiment.config import load_config
from mtl.experiment.corpora import count_malformed, load_corpora
from mtl.experiment.experiment import STREAMS, Experiment, prepare, read_numberings, restore
from mtl.experiment.kinds import KINDS, build
from mtl.experiment.training import make_trainer

__all__ = [
    "KINDS",
    "STREAMS",
    "Experiment",
    "build",
    "count_malformed",
    "load_config",
    "load_corpora",
    "make_trainer",
    "prepare",
    "read_numberings",
    "restore",
]
