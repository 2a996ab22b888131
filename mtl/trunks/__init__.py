"""Trunks: the layers that tasks share."""

from mtl.registry import Registry
from mtl.trunks.base import Sight, State, Trunk
from mtl.trunks.cell import CellTrunk
from mtl.trunks.conv import ConvTrunk
from mtl.trunks.gru import GRUTrunk
from mtl.trunks.lstm import LSTMTrunk
from mtl.trunks.none import NoTrunk
from mtl.trunks.qrnn import QRNNTrunk
from mtl.trunks.transformer import TransformerTrunk

TRUNKS: Registry[Trunk] = Registry(
    "trunk",
    Trunk,
    {
        "lstm": LSTMTrunk,
        "gru": GRUTrunk,
        "qrnn": QRNNTrunk,
        "cell": CellTrunk,
        "conv": ConvTrunk,
        "transformer": TransformerTrunk,
        "none": NoTrunk,
    },
)

__all__ = [
    "TRUNKS",
    "CellTrunk",
    "ConvTrunk",
    "GRUTrunk",
    "LSTMTrunk",
    "NoTrunk",
    "QRNNTrunk",
    "Sight",
    "State",
    "TransformerTrunk",
    "Trunk",
]
