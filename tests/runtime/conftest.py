"""The runtime of a checkout: copies of modules of mtl, and stand-ins for what is not built."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.runtime.stand_ins import stand_in

RUNTIME = Path(__file__).parents[2] / "runtime"


def _prepare() -> None:
    spec = importlib.util.spec_from_file_location("vendor", RUNTIME / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    vendor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vendor)
    vendor.vendor(RUNTIME.parent / "mtl")
    sys.path.insert(0, str(RUNTIME))
    stand_in()


_prepare()


@pytest.fixture(scope="session")
def runtime() -> Path:
    """Return the folder in which `mtl_runtime` can be imported."""
    return RUNTIME
