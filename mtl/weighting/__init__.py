"""Weighting: how the losses of the tasks are balanced."""

from mtl.registry import Registry
from mtl.weighting.base import Weighting
from mtl.weighting.static import Static

WEIGHTING: Registry[Weighting] = Registry("weighting", Weighting, {"static": Static})

__all__ = ["WEIGHTING", "Static", "Weighting"]
