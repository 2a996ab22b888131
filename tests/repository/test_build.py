"""The build compiles the operators where it can; where it cannot, the package has the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIRES = """
import sys
import build_backend
sys.modules.update({hidden})
build_backend.build_meta.get_requires_for_build_wheel = lambda settings: []
print(*build_backend.get_requires_for_build_wheel())
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"MTL_NO_EXT": "", "MTL_REQUIRE_EXT": ""} | environment
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CXX": "no-such-compiler"}, "no C++ compiler (no-such-compiler) was found"),
        ({"MTL_NO_EXT": "1"}, "MTL_NO_EXT was set during installation"),
    ],
)
def test_a_package_without_operators_has_the_reason(
    environment: dict[str, str], reason: str, tmp_path: Path
) -> None:
    done = python("setup.py", "-q", "build_py", "--build-lib", str(tmp_path), **environment)
    assert done.returncode == 0
    assert reason in done.stdout.splitlines()[-1]
    assert reason in (tmp_path / "mtl/ops/not_built.txt").read_text()


def test_a_build_that_must_be_whole_fails_without_a_compiler(tmp_path: Path) -> None:
    whole = {"CXX": "no-such-compiler", "MTL_REQUIRE_EXT": "1"}
    done = python("setup.py", "-q", "build_py", "--build-lib", str(tmp_path), **whole)
    assert done.returncode == 1
    assert "cannot be built: no C++ compiler" in done.stderr


@pytest.mark.parametrize(
    ("hidden", "environment", "needed"),
    [
        ("", {}, ""),
        ("torch=None", {}, "torch>=2.10"),
        ("torch=None", {"CXX": "no-such-compiler"}, ""),
        ("torch=None", {"MTL_NO_EXT": "1"}, ""),
    ],
    ids=["torch is here", "no torch", "no torch and no compiler", "no operators wanted"],
)
def test_a_build_fetches_torch_only_to_compile(
    hidden: str, environment: dict[str, str], needed: str
) -> None:
    done = python("-c", REQUIRES.format(hidden=f"dict({hidden})"), **environment)
    assert done.stdout == f"{needed}\n"
