"""The runtime for browsers, compiled once per run of the tests and run by Node.js."""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.runtime.web.node import Node

WEB = Path(__file__).parents[3] / "runtime" / "web"


def _load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_web", WEB / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """The script that compiles the runtime."""
    return _load_build()


@pytest.fixture(scope="session")
def compiled(build: ModuleType) -> Path:
    """The compiled file, beside the page. Skips the tests where it cannot be compiled."""
    with open(Path(tempfile.gettempdir(), "mtl-web-build.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        if not build.is_current() and not shutil.which("emcc"):
            pytest.skip("needs emcc, from Emscripten")
        build.main()
    path: Path = build.COMPILED
    return path


@pytest.fixture(scope="session")
def node(compiled: Path) -> Iterator[Node]:
    """A process of Node.js with the runtime."""
    if not shutil.which("node"):
        pytest.skip("needs node, from Node.js")
    process = Node()
    yield process
    process.close()
