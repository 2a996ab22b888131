"""The imports of the metrics."""

from __future__ import annotations

import subprocess
import sys


def test_metrics_import_neither_torch_nor_reference_libraries():
    heavy = "{'torch', 'sklearn', 'seqeval', 'pandas', 'datasets'}"
    program = f"import sys, mtl.metrics; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
