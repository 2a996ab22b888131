"""Task mixing: which corpus each batch comes from."""

from mtl.data.mixing.annealed import Annealed
from mtl.data.mixing.base import Mixing, constant_in_epoch
from mtl.data.mixing.joint import Joint
from mtl.data.mixing.progress import Progress
from mtl.data.mixing.proportional import Proportional
from mtl.data.mixing.round_robin import RoundRobin
from mtl.data.mixing.sampler import Draw, Sampler
from mtl.data.mixing.sequential import Sequential
from mtl.data.mixing.temperature import Temperature
from mtl.data.mixing.uniform import Uniform
from mtl.registry import Registry

MIXING: Registry[Mixing] = Registry(
    "mixing",
    Mixing,
    {
        "proportional": Proportional,
        "uniform": Uniform,
        "temperature": Temperature,
        "annealed": Annealed,
        "round_robin": RoundRobin,
        "sequential": Sequential,
        "joint": Joint,
        "progress": Progress,
    },
)

__all__ = [
    "MIXING",
    "Annealed",
    "Draw",
    "Joint",
    "Mixing",
    "Progress",
    "Proportional",
    "RoundRobin",
    "Sampler",
    "Sequential",
    "Temperature",
    "Uniform",
    "constant_in_epoch",
]
