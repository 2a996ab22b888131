"""From a run file to a model and its trainer: the only folder that knows all parts."""

from typing import TYPE_CHECKING, Any

from mtl.experiment.config import load_config
from mtl.experiment.corpora import count_malformed, load_corpora
from mtl.experiment.experiment import STREAMS, Experiment, prepare, read_numberings, restore
from mtl.experiment.kinds import KINDS, build

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    # Imported when asked for: a trained model predicts without the code of the training loop.
    if name == "make_trainer":
        from mtl.experiment.training import make_trainer

        return make_trainer
    raise AttributeError(f"module 'mtl.experiment' has no attribute {name!r}")
