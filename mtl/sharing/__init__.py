"""Sharing: how tasks share trunks."""

from mtl.registry import Registry
from mtl.sharing.base import Encoded, Sharing
from mtl.sharing.cross_stitch import CrossStitch
from mtl.sharing.hard import Hard
from mtl.sharing.none import NoSharing
from mtl.sharing.sluice import Sluice

SHARING: Registry[Sharing] = Registry(
    "sharing",
    Sharing,
    {"hard": Hard, "none": NoSharing, "cross_stitch": CrossStitch, "sluice": Sluice},
)

__all__ = ["SHARING", "CrossStitch", "Encoded", "Hard", "NoSharing", "Sharing", "Sluice"]
