"""Labels of words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mtl.estimators.base import Estimator, sklearn_tags
from mtl.estimators.inputs import check_dev, in_order, make_rows, read_tagged, read_words
from mtl.metrics import Accuracy, SpanF1


@dataclass(kw_only=True, eq=False, repr=False)
class Tagger(Estimator):
    """A tagger, which labels each word, with the interface of scikit-learn.

    Args:
        scheme: The scheme of span tags such as B-PER: "bio", "iob1", "iobes", "bilou" or "bmes";
            None: the tags are not spans. With a scheme, `score` is the F1 of spans.
        head: The head, as a name or a dictionary of options: "crf", "softmax" or "constrained".
        trunk: As for `Classifier`, like all parameters below.
        init: Pretrained weights: a run folder, a model of the package, or a transformer.
        epochs: The maximum number of epochs.
        patience: The number of epochs without improvement after which training stops; None: no
            early stopping.
        lr: The learning rate.
        batch_size: The number of sentences per batch.
        dev: The share of the training data used as the dev set.
        seed: The random seed.
        config: Overrides of keys of the run file.
        output: The run folder; None: a temporary folder.
        progress: As for `mtl.train`.
    """

    _task: ClassVar[str] = "tag"

    scheme: str | None = None
    head: str | Mapping[str, Any] = "crf"

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:
        """Train the model.

        Args:
            X: Lists of words.
            y: For each sentence a list with one tag per word, all of them strings.
            dev: Sentences and tags of the dev set, which selects the best epoch.

        Raises:
            InputError: The data does not have this form.
            MtlError: A parameter has a wrong value.
        """
        sentences, tags = read_tagged(X, y, "X", "y")
        held = None
        if dev is not None:
            check_dev(dev)
            held = make_rows(self._task, *read_tagged(*dev, "dev[0]", "dev[1]"))
        self._fit(make_rows(self._task, sentences, tags), held)
        self.classes_ = np.array(sorted({tag for row in tags for tag in row}))
        return self

    def _labels(self) -> dict[str, Any]:
        scored = {"scheme": self.scheme, "metric": "span_f1"}
        return scored if self.scheme else {"metric": "accuracy"}

    def predict(self, X: Any) -> list[list[str]]:
        """Return the tags of the words of each sentence."""
        found: list[list[str]] = self.model_.predict(read_words(X, "X"))[self._task]
        return found

    def predict_proba(self, X: Any) -> list[NDArray[np.float64]]:
        """Return the probability of each tag for each word, `[T, K]` per sentence of T words.

        The columns are in the order of `classes_`. Tags that the scheme allows but the data lacks,
        such as I-PER if the data has only B-PER, have no column.
        """
        labels, rows = self.model_.probabilities(read_words(X, "X"), self._task)
        return [in_order(row, labels, self.classes_.tolist()) for row in rows]

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy of the tags, or with a scheme the micro-averaged F1 of the spans."""
        sentences, tags = read_tagged(X, y, "X", "y")
        metric = SpanF1() if self.scheme else Accuracy()
        metric.update(list(map(tuple, tags)), list(map(tuple, self.predict(sentences))))
        return next(iter(metric.compute().values()))

    def __sklearn_tags__(self) -> Any:
        return sklearn_tags(None)
