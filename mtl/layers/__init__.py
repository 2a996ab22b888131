"""Layers for use in any model: modules that depend on torch alone."""

from mtl.layers.activation_penalties import activation_penalty, temporal_activation_penalty
from mtl.layers.adaptive import AdaptiveSoftmax, TiedAdaptiveSoftmax
from mtl.layers.attention import (
    AdditiveScore,
    ConcatScore,
    KeyValueAttention,
    MultiHeadAttention,
    MultiplicativeScore,
    QueryPooling,
    ScaledDotScore,
    SelfAttention,
    SelfAttentionPooling,
)
from mtl.layers.batch_norm import MaskedBatchNorm
from mtl.layers.cells import BC3Cell, NASCell, PeepholeLSTM, RecurrentHighway
from mtl.layers.connections import Highway, Residual
from mtl.layers.constraints import Constraints
from mtl.layers.conv import ConvLayer
from mtl.layers.crf import CRF
from mtl.layers.crf_variants import MEMM, InputCRF
from mtl.layers.cross_attention import CrossAttention
from mtl.layers.differentiated import DifferentiatedSoftmax
from mtl.layers.domain_distance import coral_distance, mmd_distance
from mtl.layers.dropout import (
    EmbeddingDropout,
    EvolutionalDropout,
    Standout,
    VariationalDropout,
)
from mtl.layers.factored import FactoredStack
from mtl.layers.gradient_reversal import GradientReversal
from mtl.layers.gru import StepwiseGRU
from mtl.layers.hierarchical_softmax import HierarchicalSoftmax
from mtl.layers.hmm import HMM
from mtl.layers.linear_cross_entropy import linear_cross_entropy
from mtl.layers.lstm import StepwiseLSTM
from mtl.layers.maxout import maxout
from mtl.layers.next_word import FullSoftmax, MixtureOfSoftmaxes, NextWord, TiedSoftmax
from mtl.layers.ngram_bag import NgramBag
from mtl.layers.qrnn import QRNN, QRNNLayer
from mtl.layers.rules import Rules
from mtl.layers.scalar_mix import ScalarMix, TokenScalarMix
from mtl.layers.spelling_softmax import SpellingSoftmax
from mtl.layers.subspace_overlap import subspace_overlap
from mtl.layers.transformer import TransformerLayer
from mtl.layers.weight_penalties import (
    axis_inverses,
    block_penalty,
    clustered_penalty,
    dirty_penalty,
    distance_penalty,
    fused_penalty,
    mean_penalty,
    relationship_penalty,
    subspace_penalty,
    task_clusters,
    task_covariance,
    tensor_normal_penalty,
    trace_penalty,
    tree_penalty,
)
from mtl.layers.word_losses import (
    ImportanceSampling,
    NoiseContrastive,
    SelfNormalised,
    TargetSampling,
)

__all__ = [
    "CRF",
    "HMM",
    "MEMM",
    "QRNN",
    "AdaptiveSoftmax",
    "AdditiveScore",
    "BC3Cell",
    "ConcatScore",
    "Constraints",
    "ConvLayer",
    "CrossAttention",
    "DifferentiatedSoftmax",
    "EmbeddingDropout",
    "EvolutionalDropout",
    "FactoredStack",
    "FullSoftmax",
    "GradientReversal",
    "HierarchicalSoftmax",
    "Highway",
    "ImportanceSampling",
    "InputCRF",
    "KeyValueAttention",
    "MaskedBatchNorm",
    "MixtureOfSoftmaxes",
    "MultiHeadAttention",
    "MultiplicativeScore",
    "NASCell",
    "NextWord",
    "NgramBag",
    "NoiseContrastive",
    "PeepholeLSTM",
    "QRNNLayer",
    "QueryPooling",
    "RecurrentHighway",
    "Residual",
    "Rules",
    "ScalarMix",
    "ScaledDotScore",
    "SelfAttention",
    "SelfAttentionPooling",
    "SelfNormalised",
    "SpellingSoftmax",
    "Standout",
    "StepwiseGRU",
    "StepwiseLSTM",
    "TargetSampling",
    "TiedAdaptiveSoftmax",
    "TiedSoftmax",
    "TokenScalarMix",
    "TransformerLayer",
    "VariationalDropout",
    "activation_penalty",
    "axis_inverses",
    "block_penalty",
    "clustered_penalty",
    "coral_distance",
    "dirty_penalty",
    "distance_penalty",
    "fused_penalty",
    "linear_cross_entropy",
    "maxout",
    "mean_penalty",
    "mmd_distance",
    "relationship_penalty",
    "subspace_overlap",
    "subspace_penalty",
    "task_clusters",
    "task_covariance",
    "temporal_activation_penalty",
    "tensor_normal_penalty",
    "trace_penalty",
    "tree_penalty",
]
