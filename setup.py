"""Builds the compiled operators where that can be done; without them mtl is pure Python.

Everything else stands in setup.cfg. The operators need the headers of torch 2.10 or later, and a
C++ compiler. An isolated build (plain `pip install .`) has no torch, and must not fetch one of
several gigabytes: it makes the pure package. `pip install --no-build-isolation .` builds them, and
so does `python setup.py build_ext --inplace` in a checkout.

MTL_NO_EXT=1 leaves them out; MTL_REQUIRE_EXT=1 fails where they cannot be built.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
TORCH = (2, 10)
FLAGS = ["-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-g0"]
REQUIRED = bool(os.environ.get("MTL_REQUIRE_EXT"))


def missing() -> str:
    """Return why the operators cannot be built; empty when they can."""
    if os.environ.get("MTL_NO_EXT"):
        return "MTL_NO_EXT is set"
    try:
        import torch
    except (ImportError, OSError):
        return "torch is not there to build against (try --no-build-isolation)"
    found = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if found < TORCH:
        return f"torch {torch.__version__} is older than 2.10"
    compiler = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++").split()[0]
    if os.name != "posix" or not shutil.which(compiler):
        return f"there is no C++ compiler ({compiler})"
    return ""


def operators() -> Extension:
    """Return the operators for the CPU."""
    from torch.utils.cpp_extension import include_paths, library_paths

    target = f"0x{TORCH[0]:02x}{TORCH[1]:02x}000000000000"
    return Extension(
        "mtl.ops._cpu",
        sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc/cpu").glob("*.cpp")),
        depends=[str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.h")],
        language="c++",
        extra_compile_args=[
            *FLAGS,
            *(part for path in include_paths() for part in ("-isystem", path)),
        ],
        define_macros=[("TORCH_TARGET_VERSION", target), ("MTL_BUILD", f'"{" ".join(FLAGS)}"')],
        library_dirs=library_paths(),
        libraries=["torch_cpu"],
        py_limited_api=True,
    )


class TolerantBuild(build_ext):
    """Goes on without the operators when they do not compile, and says so."""

    def run(self) -> None:
        """Build; told to by setuptools."""
        try:
            super().run()
        except Exception as error:
            if REQUIRED:
                raise
            print(f"mtl: the compiled operators are left out: {error}")
            self.extensions = []

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Return nothing: the library is no Python module."""
        return []


reason = missing()
if reason and REQUIRED:
    raise SystemExit(f"mtl: the compiled operators cannot be built: {reason}")
if reason:
    print(f"mtl: the compiled operators are left out: {reason}")

setup(
    ext_modules=[] if reason else [operators()],
    cmdclass={"build_ext": TolerantBuild},
    options={} if reason else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
