"""Builds the compiled functions of mtl-runtime. The metadata is in setup.cfg.

Most sources are those of the operators of mtl, in `csrc/` of the repository. A source distribution
has copies of them in `shared/`. Headers of PyTorch are not needed.
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
COPIED = ROOT / "shared"
SHARED = COPIED if COPIED.is_dir() else ROOT.parent / "csrc"
HEADERS = ("inline.h", "pool.h", "pool_step.h")
CPU = ("halves", "isa", "lanes", "pool", "rows", "crf")
FLAGS = [
    *("-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-g0"),
    *("-fvisibility=hidden", "-ffunction-sections", "-fdata-sections"),
]
# The library needs no C++ library where it is loaded, and exports only its interface.
LINUX = [
    *("-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections,--strip-all"),
    f"-Wl,--version-script={ROOT / 'csrc/exported.map'}",
]
LICENSE = ROOT / "LICENSE"


def shared() -> list[Path]:
    """Return the shared files: all but the ones that register operators of PyTorch."""
    cpu = [path for path in (SHARED / "cpu").iterdir() if path.stem.split("_")[0] in CPU]
    kept = [path for path in cpu if path.stem.split("_")[-1] not in ("register", "inputs")]
    return [*(SHARED / name for name in HEADERS), *sorted(kept)]


def side_by_side(compiler: Any, sources: list[str], **options: Any) -> list[str]:
    """Return the objects of some sources, compiled at once on all processors."""

    def one(source: str) -> list[str]:
        return type(compiler).compile(compiler, [source], **options)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [built for objects in pool.map(one, sources) for built in objects]


class Build(build_ext):
    """Builds a library that is no Python module."""

    def build_extension(self, ext: Extension) -> None:
        """Compile the sources, the shared ones too; told to by setuptools."""
        ext.sources += [str(path) for path in shared() if path.suffix == ".cpp"]
        ext.depends += [str(path) for path in shared()]
        self.compiler.compile = partial(side_by_side, self.compiler)
        super().build_extension(ext)

    def get_ext_filename(self, fullname: str) -> str:
        """Return the path of the library; the same for every Python."""
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Return nothing: the library is no Python module."""
        return []


class Source(sdist):
    """Copies the shared sources and the licence into a source distribution."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy all files; told to by setuptools."""
        super().make_release_tree(base_dir, files)
        for path in shared():
            target = Path(base_dir, "shared", path.relative_to(SHARED))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


# A source distribution has the copies already.
if not COPIED.is_dir():
    sys.path.insert(0, str(ROOT))
    from vendor import vendor

    vendor(ROOT.parent / "mtl")
if not LICENSE.exists() and (ROOT.parent / "LICENSE").exists():
    shutil.copyfile(ROOT.parent / "LICENSE", LICENSE)

setup(
    ext_modules=[
        Extension(
            "mtl_runtime.libmtl_runtime",
            [str(path.relative_to(ROOT)) for path in sorted((ROOT / "csrc").glob("*.cpp"))],
            depends=[str(path) for path in [*ROOT.glob("csrc/*.h"), *ROOT.glob("include/*.h")]],
            include_dirs=[str(ROOT / "include"), str(SHARED)],
            language="c++",
            extra_compile_args=FLAGS,
            extra_link_args=LINUX if sys.platform == "linux" else [],
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": Build, "sdist": Source},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
