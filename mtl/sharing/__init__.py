"""Sharing: how tasks share trunks."""

from mtl.registry import Registry
from mtl.sharing.base import Encoded, Sharing
from mtl.sharing.hard import Hard

SHARING: Registry[Sharing] = Registry("sharing", Sharing, {"hard": Hard})

__all__ = ["SHARING", "Encoded", "Hard", "Sharing"]
