"""Layers to use anywhere: modules that need torch alone."""

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
from mtl.layers.constraints import Constraints
from mtl.layers.crf import CRF
from mtl.layers.dropout import VariationalDropout
from mtl.layers.gradient_reversal import GradientReversal
from mtl.layers.qrnn import QRNN, QRNNLayer
from mtl.layers.scalar_mix import ScalarMix

__all__ = [
    "CRF",
    "QRNN",
    "AdditiveScore",
    "ConcatScore",
    "Constraints",
    "GradientReversal",
    "KeyValueAttention",
    "MultiHeadAttention",
    "MultiplicativeScore",
    "QRNNLayer",
    "QueryPooling",
    "ScalarMix",
    "ScaledDotScore",
    "SelfAttention",
    "SelfAttentionPooling",
    "VariationalDropout",
]
