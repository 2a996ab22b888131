from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("mtl", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("mtl")
# The tensors of the tests are tiny: more threads only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)
