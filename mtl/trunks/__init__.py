"""Trunks: the layers that tasks share."""

from mtl.registry import Registry
from mtl.trunks.base import State, Trunk
from mtl.trunks.lstm import LSTMTrunk
from mtl.trunks.qrnn import QRNNTrunk

TRUNKS: Registry[Trunk] = Registry("trunk", Trunk, {"lstm": LSTMTrunk, "qrnn": QRNNTrunk})

__all__ = ["TRUNKS", "LSTMTrunk", "QRNNTrunk", "State", "Trunk"]
