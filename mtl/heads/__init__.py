"""Heads: modules that compute the labels of a task from hidden states."""

from mtl.heads.attention import AttentionClassifier
from mtl.heads.base import Head, HeadContext
from mtl.heads.classifier import Classifier
from mtl.heads.cnn import CNNClassifier
from mtl.heads.constrained import ConstrainedTagger
from mtl.heads.crf import CRFTagger
from mtl.heads.deep_cnn import DeepCNNClassifier
from mtl.heads.domain import DomainClassifier
from mtl.heads.domain_distance import DomainDistance
from mtl.heads.hierarchical import HierarchicalClassifier
from mtl.heads.lm import LanguageModel
from mtl.heads.memm import MEMMTagger
from mtl.heads.pairs import Pairs
from mtl.heads.pool import PoolClassifier
from mtl.heads.softmax import SoftmaxTagger
from mtl.heads.tagger import Tagger
from mtl.registry import Registry
from mtl.targets import LabelSet, Number, Objective, OneLabel
from mtl.text.spans import FoundSpan

HEADS: Registry[Head] = Registry(
    "head",
    Head,
    {
        "softmax": SoftmaxTagger,
        "constrained": ConstrainedTagger,
        "crf": CRFTagger,
        "memm": MEMMTagger,
        "cnn": CNNClassifier,
        "deep_cnn": DeepCNNClassifier,
        "pool": PoolClassifier,
        "attention": AttentionClassifier,
        "hierarchical": HierarchicalClassifier,
        "domain": DomainClassifier,
        "domain_distance": DomainDistance,
        "lm": LanguageModel,
    },
)

__all__ = [
    "HEADS",
    "AttentionClassifier",
    "CNNClassifier",
    "CRFTagger",
    "Classifier",
    "ConstrainedTagger",
    "DeepCNNClassifier",
    "DomainClassifier",
    "DomainDistance",
    "FoundSpan",
    "Head",
    "HeadContext",
    "HierarchicalClassifier",
    "LabelSet",
    "LanguageModel",
    "MEMMTagger",
    "Number",
    "Objective",
    "OneLabel",
    "Pairs",
    "PoolClassifier",
    "SoftmaxTagger",
    "Tagger",
]
