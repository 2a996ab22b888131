"""Layers to use anywhere: modules that need torch alone."""

from mtl.layers.crf import CRF
from mtl.layers.dropout import VariationalDropout
from mtl.layers.qrnn import QRNN, QRNNLayer
from mtl.layers.scalar_mix import ScalarMix

__all__ = ["CRF", "QRNN", "QRNNLayer", "ScalarMix", "VariationalDropout"]
