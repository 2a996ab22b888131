"""Trunks: the layers that tasks share."""

from mtl.registry import Registry
from mtl.trunks.base import State, Trunk
from mtl.trunks.lstm import LSTMTrunk

TRUNKS: Registry[Trunk] = Registry("trunk", Trunk, {"lstm": LSTMTrunk})

__all__ = ["TRUNKS", "LSTMTrunk", "State", "Trunk"]
