"""Weighting: how the losses of the tasks are balanced."""

from mtl.registry import Registry
from mtl.weighting.aligned import Aligned
from mtl.weighting.base import Weighting
from mtl.weighting.dwa import DWA
from mtl.weighting.famo import FAMO
from mtl.weighting.gls import GeometricLoss
from mtl.weighting.gradients import task_gradients
from mtl.weighting.gradnorm import GradNorm
from mtl.weighting.pcgrad import PCGrad
from mtl.weighting.random import RandomWeights
from mtl.weighting.static import Static
from mtl.weighting.tchebycheff import Tchebycheff
from mtl.weighting.uncertainty import ImpartialLoss, Uncertainty

WEIGHTING: Registry[Weighting] = Registry(
    "weighting",
    Weighting,
    {
        "static": Static,
        "fixed": Static,  # an alias, the name used in papers
        "uncertainty": Uncertainty,
        "dwa": DWA,
        "gradnorm": GradNorm,
        "pcgrad": PCGrad,
        "imtl": ImpartialLoss,
        "gls": GeometricLoss,
        "random": RandomWeights,
        "famo": FAMO,
        "tchebycheff": Tchebycheff,
        "aligned": Aligned,
    },
)

__all__ = [
    "DWA",
    "FAMO",
    "WEIGHTING",
    "Aligned",
    "GeometricLoss",
    "GradNorm",
    "ImpartialLoss",
    "PCGrad",
    "RandomWeights",
    "Static",
    "Tchebycheff",
    "Uncertainty",
    "Weighting",
    "task_gradients",
]
