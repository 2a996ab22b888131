"""Search for good values of a run file: trials in processes of their own, chosen by dev scores."""

from mtl.tuning.search import Tuned, tune
from mtl.tuning.settings import TuneSettings

__all__ = ["TuneSettings", "Tuned", "tune"]
