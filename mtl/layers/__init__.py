"""Layers to use anywhere: modules that need torch alone."""

from mtl.layers.connections import Highway, Residual
from mtl.layers.crf import CRF
from mtl.layers.dropout import VariationalDropout
from mtl.layers.lstm import StepwiseLSTM
from mtl.layers.qrnn import QRNN, QRNNLayer
from mtl.layers.scalar_mix import ScalarMix

__all__ = [
    "CRF",
    "QRNN",
    "Highway",
    "QRNNLayer",
    "Residual",
    "ScalarMix",
    "StepwiseLSTM",
    "VariationalDropout",
]
