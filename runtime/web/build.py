"""Compiles the functions of mtl-runtime for browsers: writes `mtl.wasm` beside this file.

Needs Emscripten. An existing file is kept if it is newer than all sources.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
ROOT = WEB.parents[1]
COMPILED = WEB / "mtl.wasm"
SOURCES = (
    "runtime/csrc/runtime.cpp",
    "runtime/csrc/linear_base.cpp",
    "csrc/cpu/pool_base.cpp",
    "csrc/cpu/rows_base.cpp",
    "csrc/cpu/crf_base.cpp",
    "csrc/cpu/crf_log.cpp",
    "csrc/cpu/isa.cpp",
)
"""The sources, below the root of the repository: the loops for all processors, without the others."""
EXPORTED = (
    *("mtl_call", "mtl_error", "mtl_cell_packed_size", "mtl_linear_packed_size"),
    *("malloc", "free"),
)
FLAGS = [
    *("-std=c++17", "-O3", "-msimd128", "-fno-math-errno", "-fno-trapping-math", "-DNDEBUG"),
    *("-fwasm-exceptions", "-fvisibility=hidden", "-sSTANDALONE_WASM", "--no-entry"),
    *("-sALLOW_MEMORY_GROWTH", "-sFILESYSTEM=0", "-sMALLOC=emmalloc"),
    "-sEXPORTED_FUNCTIONS=" + ",".join(f"_{name}" for name in EXPORTED),
]
MISSING = "there is no Emscripten (emcc); on Debian and Ubuntu: apt-get install emscripten"


def is_current() -> bool:
    """Return whether the compiled file is newer than all files that it is made of."""
    folders = ("csrc", "csrc/cpu", "runtime/csrc", "runtime/include")
    files = [path for folder in folders for path in (ROOT / folder).iterdir() if path.is_file()]
    times = [path.stat().st_mtime for path in (*files, Path(__file__))]
    return COMPILED.is_file() and COMPILED.stat().st_mtime > max(times)


def build() -> None:
    """Compile the functions.

    Raises:
        FileNotFoundError: There is no Emscripten.
        subprocess.CalledProcessError: The compiler has reported errors.
    """
    compiler = shutil.which("emcc")
    if compiler is None:
        raise FileNotFoundError(MISSING)
    # A process that is stopped leaves no half-written file.
    temporary = COMPILED.with_suffix(f".{os.getpid()}.wasm")
    includes = [f"-I{ROOT / folder}" for folder in ("runtime/include", "csrc")]
    sources = [str(ROOT / source) for source in SOURCES]
    try:
        command = [compiler, *FLAGS, *includes, *sources, "-o", str(temporary)]
        subprocess.run(command, check=True)
        temporary.replace(COMPILED)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    if not is_current():
        try:
            build()
        except FileNotFoundError as error:
            sys.exit(f"error: {error}")
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)
    print(f"{COMPILED}: {COMPILED.stat().st_size:,} bytes")
