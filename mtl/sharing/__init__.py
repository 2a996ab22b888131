"""Sharing: how tasks share trunks."""

from mtl.registry import Registry
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.branches import Branches
from mtl.sharing.cross_stitch import CrossStitch
from mtl.sharing.easy_adapt import EasyAdapt
from mtl.sharing.hard import Hard
from mtl.sharing.hierarchical import Hierarchical
from mtl.sharing.mmoe import MixtureOfExperts
from mtl.sharing.mtan import AttentionMasks
from mtl.sharing.none import NoSharing
from mtl.sharing.ple import ProgressiveExtraction
from mtl.sharing.progressive import Progressive
from mtl.sharing.shared_private import SharedPrivate
from mtl.sharing.sluice import Sluice
from mtl.sharing.soft import Soft
from mtl.sharing.tensor import TensorFactorisation

SHARING: Registry[Sharing] = Registry(
    "sharing",
    Sharing,
    {
        "hard": Hard,
        "none": NoSharing,
        "soft": Soft,
        "cross_stitch": CrossStitch,
        "sluice": Sluice,
        "shared_private": SharedPrivate,
        "mmoe": MixtureOfExperts,
        "ple": ProgressiveExtraction,
        "mtan": AttentionMasks,
        "hierarchical": Hierarchical,
        "tensor": TensorFactorisation,
        "easy_adapt": EasyAdapt,
        "progressive": Progressive,
        "branches": Branches,
    },
)

__all__ = [
    "SHARING",
    "AttentionMasks",
    "Branches",
    "CrossStitch",
    "EasyAdapt",
    "Hard",
    "Hierarchical",
    "MixtureOfExperts",
    "NoSharing",
    "Progressive",
    "ProgressiveExtraction",
    "SharedPrivate",
    "Sharing",
    "Sluice",
    "Soft",
    "TensorFactorisation",
    "TrunkOutput",
]
