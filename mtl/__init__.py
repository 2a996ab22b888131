"""mtl: one small, fast model trained on many NLP tasks.

    import mtl
    model = mtl.train("configs/quickstart.yaml", {"training.epochs": 3})
    model = mtl.load("runs/quickstart")  # the same, later
    model.predict(["Angela Merkel flew to Paris ."])  # task to lists of labels
    for prediction in model.annotate(["Angela Merkel flew to Paris."], confidence=True):
        print(prediction)  # tokens, labels and confidences

The parts work alone, with torch alone: `from mtl.heads import CRFTagger`.
"""

import os
from typing import TYPE_CHECKING, Any

from mtl.version import __version__

# A thread that waits for another, as at each small step of a recurrence, spins for long by default;
# when another program uses a core, that makes everything ten times slower. Spinning shortly costs
# little when nothing else runs. GNU OpenMP reads this when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from mtl.api import distil, train
    from mtl.estimators import Classifier, Tagger
    from mtl.trained_model import TrainedModel, load

__all__ = ["Classifier", "Tagger", "TrainedModel", "__version__", "distil", "load", "train"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that `import mtl.heads` needs torch alone.
    if name in ("TrainedModel", "load"):
        from mtl import trained_model

        return getattr(trained_model, name)
    if name in ("distil", "train"):
        from mtl import api

        return getattr(api, name)
    if name in ("Classifier", "Tagger"):
        from mtl import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'mtl' has no attribute {name!r}")
