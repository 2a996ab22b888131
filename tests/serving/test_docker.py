"""The Dockerfile: its packages are enough to serve a bundle, and have the versions of setup.cfg."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from mtl.trained_model import TrainedModel
from tests.runtime import built

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys

sys.modules.update(dict.fromkeys(sys.argv.pop().split()))  # imports of these packages fail
from mtl.cli.main import main

main()
"""
IMPORTED = {"PyYAML": "yaml"}
"""Name of a package to its module, where they differ."""


def required(section: str, option: str) -> dict[str, str]:
    """Return the packages in setup.cfg, with their lines."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser[section][option].split("\n")
    return {re.split("[>;]", line)[0]: line.split(";")[0] for line in lines if line}


def installed() -> dict[str, str]:
    """Return the packages of the image for bundles, with their lines."""
    image = (ROOT / "Dockerfile").read_text().partition("AS bundle")[2]
    return {found.partition(">")[0]: found for found in re.findall("'([^' ]+>=[^' ]+)'", image)}


def test_versions_are_those_of_the_package() -> None:
    known = required("options", "install_requires") | required("options.extras_require", "serve")
    found = installed()
    assert set(required("options.extras_require", "serve")) <= set(found) <= set(known)
    assert found == {name: known[name] for name in found}


@pytest.mark.slow
def test_a_bundle_needs_no_other_package(trained: TrainedModel, tmp_path: Path) -> None:
    built.kernels()
    trained.save_bundle(tmp_path / "model.mtl", ["ner"])
    others = set(required("options", "install_requires")) - set(installed())
    # Other packages of the image need these.
    others -= {"MarkupSafe", "pydantic", "rich", "typing-extensions"}
    names = " ".join(IMPORTED.get(name, name) for name in others)
    assert {"torch", "yaml", "pyarrow"} < set(names.split())
    command = [sys.executable, "-c", PROGRAM, "serve", str(tmp_path / "model.mtl")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--port", "0", names], stdout=pipe, stderr=pipe, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert line.startswith("serving "), err
    assert (process.returncode, err) == (0, "stopped\n")
