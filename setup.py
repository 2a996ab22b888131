"""Builds the compiled operators where that can be done; without them mtl is pure Python.

Everything else stands in setup.cfg. The operators need the headers of torch 2.10 or later, and a
C++ compiler. An isolated build (plain `pip install .`) has no torch, and must not fetch one of
several gigabytes: it makes the pure package. `pip install --no-build-isolation .` builds them, and
so does `python setup.py build_ext --inplace` in a checkout.

Operators for CUDA are built where there are nvcc and torch for CUDA, or where MTL_WITH_CUDA=1 asks
for them. MTL_NO_EXT=1 leaves all out; MTL_REQUIRE_EXT=1 fails where they cannot be built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

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


def nvcc() -> str:
    """Return the compiler for CUDA where the operators for it are to be built; empty otherwise."""
    import torch

    if not (torch.version.cuda or os.environ.get("MTL_WITH_CUDA")):
        return ""
    return shutil.which("nvcc") or ""


def toolkit() -> Path:
    """Return the folder of headers and libraries that nvcc, perhaps a script, works with."""
    command = [nvcc(), "--dryrun", "-c", "csrc/cuda/pool.cu", "-o", os.devnull]
    told = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=True).stderr
    return Path(re.findall(r"TOP=(.*)", told)[0]).resolve()


def extension(device: str, libraries: list[str]) -> Extension:
    """Return the operators for "cpu" or "cuda"."""
    from torch.utils.cpp_extension import include_paths, library_paths

    target = f"0x{TORCH[0]:02x}{TORCH[1]:02x}000000000000"
    return Extension(
        f"mtl.ops._{device}",
        sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc" / device).glob("*.c*")),
        depends=[str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.h")],
        language="c++",
        extra_compile_args=[
            *FLAGS,
            *(part for path in include_paths() for part in ("-isystem", path)),
        ],
        define_macros=[("TORCH_TARGET_VERSION", target), ("MTL_BUILD", f'"{" ".join(FLAGS)}"')],
        library_dirs=library_paths(),
        libraries=libraries,
        py_limited_api=True,
    )


def extensions() -> list[Extension]:
    """Return the operators for the CPU, and those for CUDA where there is its compiler."""
    import torch

    found = [extension("cpu", ["torch_cpu"])]
    if nvcc():
        # Without torch for CUDA they can be compiled, but not loaded.
        of_torch = ["torch_cpu", *(["torch_cuda"] if torch.version.cuda else [])]
        found.append(extension("cuda", [*of_torch, "cudart_static", "dl", "pthread", "rt"]))
    return found


def kinds() -> list[int]:
    """Return the kinds of devices to build for: those that nvcc knows, but no mere variants.

    What is built for 8.0 runs on 8.6 and 8.9, too.
    """
    listed = subprocess.check_output([nvcc(), "--list-gpu-arch"], text=True)
    known = [int(line.removeprefix("compute_")) for line in listed.split()]
    return [kind for kind in known if kind >= 80 and kind % 10 == 0]


def kernels(source: Path, target: Path) -> list[str]:
    """Return the command that compiles kernels. Later devices translate those of the last kind."""
    codes = [f"arch=compute_{kind},code=sm_{kind}" for kind in kinds()]
    codes.append(f"arch=compute_{kinds()[-1]},code=compute_{kinds()[-1]}")
    flags = ["-std=c++17", "-O2", "--threads", "0", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
    generated = [part for code in codes for part in ("-gencode", code)]
    return [nvcc(), *flags, *generated, "-c", str(source), "-o", str(target)]


def side_by_side(compiler: Any, sources: list[str], **options: Any) -> list[str]:
    """Return the objects of some sources, compiled at once on all processors."""

    def one(source: str) -> list[str]:
        return type(compiler).compile(compiler, [source], **options)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [built for objects in pool.map(one, sources) for built in objects]


class TolerantBuild(build_ext):
    """Leaves out the operators that do not compile, and says so."""

    def build_extension(self, ext: Extension) -> None:
        """Build one library; told to by setuptools."""
        try:
            for source in [path for path in ext.sources if path.endswith(".cu")]:
                ext.sources.remove(source)
                self.build_kernels(ext, Path(source))
            self.compiler.compile = partial(side_by_side, self.compiler)
            super().build_extension(ext)
        except Exception as error:
            if REQUIRED:
                raise
            print(f"mtl: {ext.name} is left out: {error}")
            self.extensions = [other for other in self.extensions if other is not ext]

    def build_kernels(self, ext: Extension, source: Path) -> None:
        """Compile kernels, to be linked with the rest of their library."""
        target = Path(self.build_temp) / source.with_suffix(".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.spawn(kernels(source, target))
        ext.extra_objects.append(str(target))
        ext.define_macros.append(("MTL_KINDS", f'"{" ".join(f"sm_{kind}" for kind in kinds())}"'))
        ext.include_dirs.append(str(toolkit() / "include"))
        ext.library_dirs.append(str(toolkit() / "lib64"))

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Return nothing: the library is no Python module."""
        return []


reason = missing()
if reason and REQUIRED:
    raise SystemExit(f"mtl: the compiled operators cannot be built: {reason}")
if reason:
    print(f"mtl: the compiled operators are left out: {reason}")

setup(
    ext_modules=[] if reason else extensions(),
    cmdclass={"build_ext": TolerantBuild},
    options={} if reason else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
