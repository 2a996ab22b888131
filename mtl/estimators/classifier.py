"""Classification of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mtl.estimators.base import Estimator, sklearn_tags
from mtl.estimators.inputs import (
    check_dev,
    class_labels,
    in_order,
    make_rows,
    name_of,
    read_texts,
    same_length,
)


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(Estimator):
    """A text classifier with the interface of scikit-learn.

    Args:
        head: The head, as a name or a dictionary of options: "pool", "attention" or "cnn".
        trunk: The trunk, as a name ("lstm", "gru" or "qrnn", one layer; "conv") or a dictionary of
            options; None: the trunk of `init`, else "lstm".
        init: Pretrained weights: a run folder, a model of the package ("wikitext2", "english"), or
            a pretrained transformer, as a folder or a name on the hub. Training starts from its
            trunk and embedding; None: random weights.
        epochs: The maximum number of epochs.
        patience: The number of epochs without improvement on the dev set after which training
            stops; None: no early stopping.
        lr: The learning rate; None: 0.004, or 0.0005 for a pretrained transformer.
        batch_size: The number of sentences per batch.
        dev: The share of the training data, or the number of sentences, used as the dev set, which
            selects the best epoch, if `fit` gets no dev set; None: no dev set. Fewer than 20
            sentences are not split.
        seed: The random seed.
        config: Overrides of keys of the run file, as in `mtl.train`: `{"trunk.dropout": 0.5}`.
        output: The run folder; None: a temporary folder, which is removed with the estimator.
        progress: As for `mtl.train`.
    """

    _estimator_type: ClassVar[str] = "classifier"  # read by scikit-learn before 1.6
    _task: ClassVar[str] = "label"

    head: str | Mapping[str, Any] = "pool"

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:
        """Train the model.

        Args:
            X: Texts, or lists of words.
            y: The label of each text: strings, whole numbers or booleans.
            dev: Texts and labels of the dev set, which selects the best epoch.

        Raises:
            InputError: The data does not have this form.
            MtlError: A parameter has a wrong value.
        """
        texts, labels = read_texts(X, "X"), class_labels(y, "y")
        rows = make_rows(self._task, texts, labels)
        held = None
        if dev is not None:
            check_dev(dev)
            held = make_rows(
                self._task, read_texts(dev[0], "dev[0]"), class_labels(dev[1], "dev[1]")
            )
        self._fit(rows, held)
        self.classes_ = np.array(sorted(set(labels)))
        return self

    def _labels(self) -> dict[str, Any]:
        return {"metric": "accuracy"}

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each text, `[N]`."""
        found = self.model_.predict(read_texts(X, "X"))[self._task]
        position = {name_of(label): i for i, label in enumerate(self.classes_.tolist())}
        return self.classes_[[position[name] for name in found]]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each label, `[N, K]`, in the order of `classes_`."""
        labels, rows = self.model_.probabilities(read_texts(X, "X"), self._task)
        return in_order(np.array(rows).reshape(-1, len(labels)), labels, self._names())

    def _knows_labels(self) -> bool:
        target = self.model_.predictor.targets.get(self._task)
        return target is not None and {*target.labels} <= {*self._names()}

    def _names(self) -> list[str]:
        return list(map(name_of, self.classes_.tolist()))

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy."""
        expected = class_labels(y, "y")
        same_length(X, expected)
        return float(np.mean([a == b for a, b in zip(self.predict(X), expected, strict=True)]))

    def __sklearn_tags__(self) -> Any:
        return sklearn_tags("classifier")
