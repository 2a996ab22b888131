"""The compiled operators (csrc/): found and loaded where they were built, or why not."""

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
    """What is known of the compiled operators for a device.

    Args:
        path: The file that was loaded; None: none was.
        missing: Why none was loaded; empty when one was.
        instruction_set: That which the processor gets, "base", "avx2" or "avx512"; for CUDA the
            kinds of devices it was built for, as "sm_80 sm_90".
        build: The flags it was compiled with.
    """

    path: Path | None = None
    missing: str = ""
    instruction_set: str = ""
    build: str = ""


@cache
def tell_of_reference(what: str, device: str, missing: str) -> None:
    """Say once why operators run in plain torch.

    Args:
        what: What they compute.
        device: Where the tensors are.
        missing: Why the compiled ones for the device are not there; empty: nobody has written any.
    """
    logging.getLogger(__name__).warning(
        "%s in plain torch, several times slower than by the compiled operators: %s",
        what,
        missing or f"there are none for {device}",
    )


def load(device: str) -> Library:
    """Load the operators for "cpu" or "cuda". Never compiles, never raises.

    The environment variable MTL_NO_EXT, when set, leaves them out.
    """
    if os.environ.get("MTL_NO_EXT"):
        return Library(missing="MTL_NO_EXT is set")
    if device == "cuda" and not torch.version.cuda:
        return Library(missing="torch is here without CUDA")
    found = sorted(FOLDER.glob(f"_{device}.*so"))
    if not found:
        return Library(missing="they were not built (csrc/README.md tells how)")
    try:
        library = ctypes.CDLL(str(found[0]))
        for name in ("mtl_instruction_set", "mtl_build"):
            getattr(library, name).restype = ctypes.c_char_p
        return Library(
            found[0],
            instruction_set=library.mtl_instruction_set().decode(),
            build=library.mtl_build().decode(),
        )
    except (OSError, AttributeError) as error:
        return Library(missing=f"{found[0].name} does not load: {error}; build it anew")
