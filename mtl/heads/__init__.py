"""Heads: what turns hidden states into labels."""

from mtl.heads.base import Head
from mtl.heads.classifier import Classifier
from mtl.heads.cnn import CNNClassifier
from mtl.heads.crf import CRFTagger
from mtl.heads.lm import LanguageModel
from mtl.heads.pool import PoolClassifier
from mtl.heads.softmax import SoftmaxTagger
from mtl.heads.tagger import Tagger
from mtl.registry import Registry

HEADS: Registry[Head] = Registry(
    "head",
    Head,
    {
        "softmax": SoftmaxTagger,
        "crf": CRFTagger,
        "cnn": CNNClassifier,
        "pool": PoolClassifier,
        "lm": LanguageModel,
    },
)

__all__ = [
    "HEADS",
    "CNNClassifier",
    "CRFTagger",
    "Classifier",
    "Head",
    "LanguageModel",
    "PoolClassifier",
    "SoftmaxTagger",
    "Tagger",
]
