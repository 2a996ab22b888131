from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mtl as library
from mtl.serving.served_model import ServedModel, open_model
from mtl.trained_model import TrainedModel
from tests.cli import project
from tests.serving.client import Client, serving


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder with two taggers, and a classifier that has attention."""
    folder = tmp_path_factory.mktemp("served")
    project.write(folder)
    changes = ["training.epochs=8", "tasks.mood.head={type: attention}"]
    library.train(folder / "run.yaml", changes, output=folder / "runs" / "small")
    return folder / "runs" / "small"


@pytest.fixture(scope="session")
def trained(folder: Path) -> TrainedModel:
    return library.load(folder, device="cpu")


@pytest.fixture(scope="session")
def served(folder: Path) -> ServedModel:
    return open_model(folder, device="cpu")


@pytest.fixture(scope="module")
def client(served: ServedModel) -> Iterator[Client]:
    """Return a client of a server that runs for all tests of a file."""
    with serving(served) as found:
        yield found
