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
REASON = FOLDER / "not_built.txt"
"""The reason why the installation built no operators; setup.py writes it."""


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

    def __str__(self) -> str:
        if self.path:
            return f"compiled, for {self.instruction_set}"
        return f"plain PyTorch, which makes CRFs and QRNNs several times slower; {self.missing}"


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
        "%s runs in plain PyTorch, several times slower than compiled; %s",
        operator,
        # The plan of a run and the report of the module have the reason, which may be long.
        "`python -m mtl.ops` shows the reason" if missing else f"none is compiled for {device}",
    )


@cache
def load(device: str) -> Library:
    """Load the compiled operators for "cpu" or "cuda", once. Never compiles and never raises.

    If the environment variable MTL_NO_EXT is set, nothing is loaded.
    """
    if os.environ.get("MTL_NO_EXT"):
        return Library(missing="the environment variable MTL_NO_EXT is set; unset it")
    if device not in ("cpu", "cuda"):
        return Library(missing=f"no compiled operators exist for {device}")
    if device == "cuda" and not torch.version.cuda:
        return Library(missing="this build of torch has no CUDA support")
    files = sorted(FOLDER.glob(f"_{device}.*so"))
    if not files:
        reason = REASON.read_text("utf-8").strip() if REASON.is_file() else "they are not built"
        remedy = "to compile them, install a C++ compiler, then mtl again from its source code"
        return Library(missing=f"{reason}; {remedy}")
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
        remedy = "they need torch 2.10 or later; update torch, or install mtl again"
        return Library(missing=f"cannot load {files[0].name}: {error}; {remedy}")
