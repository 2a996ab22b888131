"""Loading of the compiled operators (csrc/)."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Library:
    """The compiled operators of a device, or the reason why there are none.

    Args:
        path: The loaded file; None if no file was loaded.
        missing: The reason why no file was loaded; empty if one was.
        instruction_set: The instruction set chosen for this processor: "base", "avx2" or
            "avx512". For CUDA, the architectures it was built for, such as "sm_80 sm_90".
        build: The compiler flags of the build.
    """

    path: Path | None = None
    missing: str = ""
    instruction_set: str = ""
    build: str = ""


@cache  # one warning per operator and device
def warn_reference(operator: str, device: str, missing: str) -> None:
    """Log a warning, once, that an operator runs in plain torch.

    Args:
        operator: The name of the operator in the message.
        device: The device type of the tensors, such as "cuda".
        missing: The reason why no compiled operator is loaded; empty if none exists for the
            device.
    """
    logging.getLogger(__name__).warning(
        "%s runs in plain torch, several times slower than the compiled operators: %s",
        operator,
        missing or f"no compiled operators exist for {device}",
    )


def load(device: str) -> Library:
    """Load the compiled operators for "cpu" or "cuda". It never compiles and never raises.

    If the environment variable MTL_NO_EXT is set, nothing is loaded.
    """
    if os.environ.get("MTL_NO_EXT"):
        return Library(missing="MTL_NO_EXT is set")
    if device == "cuda" and not torch.version.cuda:
        return Library(missing="this build of torch has no CUDA support")
    files = sorted(FOLDER.glob(f"_{device}.*so"))
    if not files:
        return Library(missing="they are not built; to build them, see csrc/README.md")
    try:
        # Loading the library registers its kernels with torch.
        library = ctypes.CDLL(str(files[0]))
        for name in ("mtl_instruction_set", "mtl_build"):
            getattr(library, name).restype = ctypes.c_char_p
        return Library(
            files[0],
            instruction_set=library.mtl_instruction_set().decode(),
            build=library.mtl_build().decode(),
        )
    except (OSError, AttributeError) as error:
        return Library(missing=f"cannot load {files[0].name}: {error}; rebuild it")
