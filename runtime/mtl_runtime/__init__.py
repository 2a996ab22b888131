"""Models of mtl without torch: `load` reads a file that `mtl export --to bundle` wrote.

>>> import mtl_runtime
>>> model = mtl_runtime.load("model.mtl")  # doctest: +SKIP
>>> model.predict(["Ann left Rome."])  # doctest: +SKIP
{'ner': [['B-PER', 'O', 'B-LOC', 'O']]}
"""

from __future__ import annotations

from os import PathLike

from mtl_runtime._mtl.errors import MtlError
from mtl_runtime._mtl.inference.prediction import Prediction, TextSpan
from mtl_runtime._mtl.inference.task_prediction import TaskPrediction
from mtl_runtime.bundle import BundleError, read
from mtl_runtime.model import Model

__all__ = [
    "BundleError",
    "Model",
    "MtlError",
    "Prediction",
    "TaskPrediction",
    "TextSpan",
    "load",
]


def load(path: str | PathLike[str]) -> Model:
    """Load a model.

    Args:
        path: A file that `mtl export --to bundle` wrote.

    Raises:
        BundleError: The file is damaged, or is no such file.
        OSError: The file cannot be read.
    """
    bundle = read(path)
    try:
        return Model(bundle, str(path))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: the description of the model is damaged: {error!r}") from error
