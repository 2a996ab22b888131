"""Learning word vectors from text, their evaluation, and maps between two languages."""

from mtl.analysis.word_vectors.base import LearningProgress, VectorMethod
from mtl.analysis.word_vectors.glove import GloVe
from mtl.analysis.word_vectors.negative_sampling import ContinuousBag, SkipGram
from mtl.analysis.word_vectors.next_word import NeuralModel
from mtl.analysis.word_vectors.ppmi import PPMI, SVD
from mtl.analysis.word_vectors.ranking import Ranking
from mtl.analysis.word_vectors.text import CountedText
from mtl.registry import Registry

METHODS: Registry[VectorMethod] = Registry(
    "method",
    VectorMethod,
    {
        "sgns": SkipGram,
        "cbow": ContinuousBag,
        "cw": Ranking,
        "nnlm": NeuralModel,
        "glove": GloVe,
        "ppmi": PPMI,
        "svd": SVD,
    },
)

__all__ = [
    "METHODS",
    "PPMI",
    "SVD",
    "ContinuousBag",
    "CountedText",
    "GloVe",
    "LearningProgress",
    "NeuralModel",
    "Ranking",
    "SkipGram",
    "VectorMethod",
]
