"""Metrics: scores of predicted labels against gold labels."""

from mtl.metrics.accuracy import Accuracy
from mtl.metrics.base import UNDEFINED, Metric, Unit, defined, shown
from mtl.metrics.divergence import Divergence
from mtl.metrics.exact_match import ExactMatch
from mtl.metrics.f1 import F1
from mtl.metrics.numbers import Pearson, SquaredError
from mtl.metrics.perplexity import Perplexity
from mtl.metrics.set_f1 import SetF1
from mtl.metrics.span_f1 import SpanF1
from mtl.metrics.top_k import TopK
from mtl.metrics.word_top_k import WordTopK
from mtl.registry import Registry

METRICS: Registry[Metric] = Registry(
    "metric",
    Metric,
    {
        "accuracy": Accuracy,
        "exact_match": ExactMatch,
        "top_k": TopK,
        "f1": F1,
        "span_f1": SpanF1,
        "set_f1": SetF1,
        "pearson": Pearson,
        "squared_error": SquaredError,
        "divergence": Divergence,
        "perplexity": Perplexity,
        "word_top_k": WordTopK,
    },
)

__all__ = [
    "F1",
    "METRICS",
    "UNDEFINED",
    "Accuracy",
    "Divergence",
    "ExactMatch",
    "Metric",
    "Pearson",
    "Perplexity",
    "SetF1",
    "SpanF1",
    "SquaredError",
    "TopK",
    "Unit",
    "WordTopK",
    "defined",
    "shown",
]
