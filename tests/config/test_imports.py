"""The imports of the configuration."""

from __future__ import annotations

import subprocess
import sys


def test_no_torch_is_imported_to_read_a_configuration() -> None:
    code = "import sys, mtl.config, mtl.config.schema; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
