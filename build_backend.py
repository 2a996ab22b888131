"""The build backend: setuptools, which asks for PyTorch only where it is needed to compile.

The operators use the stable interface of PyTorch alone, so a build with any version from `TORCH`
on works with every later one. A PyTorch in the environment that mtl is installed into is therefore
used as it is, although an isolated build hides it. Without one, pip puts PyTorch into the build
environment, from the same download that the installation needs anyway. Without a C++ compiler,
nothing is downloaded for the build, and mtl runs on operators in plain PyTorch.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the other hooks of a backend

TORCH = (2, 10)


def obstacle() -> str:
    """Return the reason why no build can compile the operators here; empty if there is none."""
    if os.environ.get("MTL_NO_EXT"):
        return "MTL_NO_EXT was set during installation"
    compiler = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++").split()[0]
    if os.name != "posix" or not shutil.which(compiler):
        return f"no C++ compiler ({compiler}) was found during installation"
    return ""


def torch_obstacle() -> str:
    """Return the reason why PyTorch cannot be built against; empty if there is none."""
    # At the end: packages of the build environment come first.
    sys.path.append(sysconfig.get_path("platlib"))
    try:
        import torch
    except (ImportError, OSError):
        return "PyTorch was not found during installation"
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < TORCH:
        return f"PyTorch {torch.__version__} is older than {_version()}"
    return ""


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Return what the build needs beyond pyproject.toml: PyTorch, or nothing."""
    needed = [f"torch>={_version()}"] if not obstacle() and torch_obstacle() else []
    return [*build_meta.get_requires_for_build_wheel(config_settings), *needed]


get_requires_for_build_editable = get_requires_for_build_wheel


def _version() -> str:
    return ".".join(map(str, TORCH))
