"""The script for a day on a GPU runs on a CPU with tiny sizes, and survives sections that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_day.py"


@pytest.mark.slow
def test_every_section_is_written_also_one_without_its_data(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--tiny", "--output", str(tmp_path)]
    # Without the text of WikiText-2, the last section fails.
    environment = os.environ | {"MTL_DATA": str(tmp_path / "none")}
    subprocess.run(command, check=True, env=environment)
    results = {file.stem: json.loads(file.read_text()) for file in tmp_path.glob("*.json")}
    assert set(results) == {"tests", "kernels", "layers", "speed", "curves"}
    assert {name for name, result in results.items() if "error" in result} == {"curves"}
    page = (tmp_path / "gpu_day.md").read_text()
    assert all(f"## {name.capitalize()}" in page for name in results)
