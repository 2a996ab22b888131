"""The runtime of a checkout: copies of modules of mtl, and the library or a stand-in for it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.runtime.built import kernels
from tests.runtime.stand_ins import stand_in

RUNTIME = Path(__file__).parents[2] / "runtime"


def _load_vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", RUNTIME / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


vendor = _load_vendor()
vendor.vendor(RUNTIME.parent / "mtl")
sys.path.insert(0, str(RUNTIME))
try:
    kernels()
except pytest.skip.Exception:  # there is no compiler
    stand_in()
