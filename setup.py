"""Builds the compiled operators where that can be done; without them mtl is pure Python.

The metadata is in setup.cfg. The operators need the headers of PyTorch, which
`build_backend.py` provides, and a C++ compiler. Where they cannot be built, the installed package
contains the reason, because pip does not show the output of a build.

Operators for CUDA are built where there are nvcc and torch for CUDA, or where MTL_WITH_CUDA=1 asks
for them. MTL_NO_EXT=1 leaves all out; MTL_REQUIRE_EXT=1 fails where they cannot be built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # not all tools that run this file add its folder

from build_backend import TORCH, obstacle, torch_obstacle  # noqa: E402

FLAGS = ["-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-g0"]
REQUIRED = bool(os.environ.get("MTL_REQUIRE_EXT"))


def leave_out(reason: str, folder: Path) -> None:
    """Note the reason in the package, where `mtl.ops` finds it, or fail if that is asked for."""
    if REQUIRED:
        raise SystemExit(f"mtl: the compiled operators cannot be built: {reason}")
    print(f"mtl: the compiled operators are left out: {reason}")
    (folder / "mtl/ops/not_built.txt").write_text(f"{reason}\n", encoding="utf-8")


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

    @property
    def folder(self) -> Path:
        """The folder that the package is built in."""
        return ROOT if self.inplace else Path(self.build_lib)

    def run(self) -> None:
        """Build all libraries; told to by setuptools."""
        if reason:
            leave_out(reason, self.folder)
        super().run()

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
            leave_out(f"the compilation of {ext.name} failed ({error})", self.folder)
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


class Modules(build_py):
    """Copies the modules; without compiled operators, notes the reason beside them."""

    def run(self) -> None:
        """Build; told to by setuptools."""
        super().run()
        if reason:
            leave_out(reason, ROOT if self.editable_mode else Path(self.build_lib))


def read_me() -> str:
    """Return the README with the files of its links in brackets: package indexes lack the files."""

    def unlinked(link: re.Match[str]) -> str:
        text, file = link.groups()
        return text if text == file else f"{text} ({file})"

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\[([^]]+)\]\((?!https?:)([^)#]+)[^)]*\)", unlinked, text)


reason = obstacle() or torch_obstacle()

setup(
    long_description=read_me(),
    long_description_content_type="text/markdown",
    ext_modules=[] if reason else extensions(),
    cmdclass={"build_ext": TolerantBuild, "build_py": Modules},
    options={} if reason else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
