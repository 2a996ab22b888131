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
from mtl.layers.cells import NASCell, RecurrentHighway
from mtl.layers.connections import Highway, Residual
from mtl.layers.constraints import Constraints
from mtl.layers.conv import ConvLayer
from mtl.layers.crf import CRF
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
from mtl.layers.linear_cross_entropy import linear_cross_entropy
from mtl.layers.lstm import StepwiseLSTM
from mtl.layers.maxout import maxout
from mtl.layers.next_word import FullSoftmax, MixtureOfSoftmaxes, NextWord, TiedSoftmax
from mtl.layers.qrnn import QRNN, QRNNLayer
from mtl.layers.scalar_mix import ScalarMix
from mtl.layers.subspace_overlap import subspace_overlap
from mtl.layers.transformer import TransformerLayer
from mtl.layers.weight_penalties import (
    block_penalty,
    clustered_penalty,
    distance_penalty,
    mean_penalty,
    relationship_penalty,
    task_covariance,
    trace_penalty,
)

__all__ = [
    "CRF",
    "QRNN",
    "AdaptiveSoftmax",
    "AdditiveScore",
    "ConcatScore",
    "Constraints",
    "ConvLayer",
    "EmbeddingDropout",
    "EvolutionalDropout",
    "FactoredStack",
    "FullSoftmax",
    "GradientReversal",
    "Highway",
    "KeyValueAttention",
    "MixtureOfSoftmaxes",
    "MultiHeadAttention",
    "MultiplicativeScore",
    "NASCell",
    "NextWord",
    "QRNNLayer",
    "QueryPooling",
    "RecurrentHighway",
    "Residual",
    "ScalarMix",
    "ScaledDotScore",
    "SelfAttention",
    "SelfAttentionPooling",
    "Standout",
    "StepwiseGRU",
    "StepwiseLSTM",
    "TiedAdaptiveSoftmax",
    "TiedSoftmax",
    "TransformerLayer",
    "VariationalDropout",
    "activation_penalty",
    "block_penalty",
    "clustered_penalty",
    "coral_distance",
    "distance_penalty",
    "linear_cross_entropy",
    "maxout",
    "mean_penalty",
    "mmd_distance",
    "relationship_penalty",
    "subspace_overlap",
    "task_covariance",
    "temporal_activation_penalty",
    "trace_penalty",
]
