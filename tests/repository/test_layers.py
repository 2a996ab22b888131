"""The import contracts of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("datasets", "pydantic", "sklearn", "seqeval", "rich", "typer", "yaml")


def test_imports_go_one_way() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "package",
    # Heads and sharing import the other three.
    [
        "heads",
        "sharing",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("ops", "layers", "trunks", "embeddings", "weighting")
        ),
    ],
)
def test_parts_of_the_network_import_with_torch_alone(package: str) -> None:
    code = f"import sys, mtl.{package}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "torch" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
