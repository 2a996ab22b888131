"""The compiled library of mtl-runtime, built in the checkout."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime"
LIBRARY = RUNTIME / "mtl_runtime" / "libmtl_runtime.so"


@functools.cache
def kernels():  # type: ignore[no-untyped-def] # a module
    """Return mtl_runtime.kernels; skips the tests where the library cannot be built."""
    compiler = (sysconfig.get_config_var("CXX") or "c++").split()[0]
    if not shutil.which(compiler):
        pytest.skip(f"there is no C++ compiler ({compiler})", allow_module_level=True)
    with open(Path(tempfile.gettempdir(), "mtl-runtime-build.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(command, cwd=RUNTIME, check=True)
    import mtl_runtime.kernels

    return mtl_runtime.kernels
