"""mtl: one small, fast model trained on many NLP tasks.

    import mtl
    model = mtl.train("configs/quickstart.yaml", {"training.epochs": 3})
    model = mtl.load("runs/quickstart")  # the same, later
    model.predict(["Angela Merkel flew to Paris ."])  # task to a list with one item per text
    for prediction in model.annotate(["Angela Merkel flew to Paris."], confidence=True):
        print(prediction)  # tokens, labels and confidences

The parts need only PyTorch and can be used alone: `from mtl.heads import CRFTagger`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtl.version import __version__

# A thread that waits for another, as at each small step of a recurrence, spins for long by default;
# when another program uses a core, that makes everything ten times slower. Spinning shortly costs
# little when nothing else runs. GNU OpenMP reads this when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from mtl.api import distil, ensemble, extend, train
    from mtl.data.vectors import read_vectors, write_vectors
    from mtl.estimators import Classifier, Tagger
    from mtl.trained_model import TrainedModel, load
    from mtl.tuning import tune

__all__ = [
    "Classifier",
    "Tagger",
    "TrainedModel",
    "__version__",
    "distil",
    "ensemble",
    "extend",
    "load",
    "read_vectors",
    "train",
    "tune",
    "write_vectors",
]

_MODULES = {
    "Classifier": "mtl.estimators",
    "Tagger": "mtl.estimators",
    "TrainedModel": "mtl.trained_model",
    "distil": "mtl.api",
    "ensemble": "mtl.api",
    "extend": "mtl.api",
    "load": "mtl.trained_model",
    "read_vectors": "mtl.data.vectors",
    "train": "mtl.api",
    "tune": "mtl.tuning",
    "write_vectors": "mtl.data.vectors",
}
"""Public name to its module."""


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that `import mtl.heads` needs torch alone.
    if name not in _MODULES:
        raise AttributeError(f"module 'mtl' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
