"""Sharing: how tasks share trunks."""

from mtl.registry import Registry
from mtl.sharing.base import Encoded, Sharing
from mtl.sharing.cross_stitch import CrossStitch
from mtl.sharing.hard import Hard
from mtl.sharing.none import NoSharing

SHARING: Registry[Sharing] = Registry(
    "sharing", Sharing, {"hard": Hard, "none": NoSharing, "cross_stitch": CrossStitch}
)

__all__ = ["SHARING", "CrossStitch", "Encoded", "Hard", "NoSharing", "Sharing"]
