"""Estimators with the interface of scikit-learn, which need not be installed.

    classifier = mtl.Classifier(epochs=10).fit(texts, labels)
    classifier.predict(["A fine film."])

They work in `Pipeline`, `cross_val_score` and `GridSearchCV`.
"""

from mtl.estimators.classifier import Classifier
from mtl.estimators.tagger import Tagger

__all__ = ["Classifier", "Tagger"]
