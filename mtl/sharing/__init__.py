"""Sharing: how tasks share trunks."""

from mtl.registry import Registry
from mtl.sharing.base import Encoded, Sharing
from mtl.sharing.hard import Hard
from mtl.sharing.mmoe import MixtureOfExperts
from mtl.sharing.shared_private import SharedPrivate
from mtl.sharing.soft import Soft

SHARING: Registry[Sharing] = Registry(
    "sharing",
    Sharing,
    {"hard": Hard, "soft": Soft, "shared_private": SharedPrivate, "mmoe": MixtureOfExperts},
)

__all__ = ["SHARING", "Encoded", "Hard", "MixtureOfExperts", "SharedPrivate", "Sharing", "Soft"]
