"""A second forward pass over the batches of a step, with the same dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Replay:
    """The random numbers and the states of running text at the beginning of a step.

    Args:
        device: The device of the model.
        carried: The state of the trunk after the last chunk, by corpus of running text.
    """

    def __init__(self, device: torch.device, carried: dict[str, Any]) -> None:
        self._devices = [device] if device.type == "cuda" else []
        self._random = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(own) for own in self._devices]
        self._carried = dict(carried)

    @contextmanager
    def __call__(self, carried: dict[str, Any]) -> Iterator[None]:
        """Compute without gradients from the beginning of the step; restore the present after it.

        Args:
            carried: The present states of running text; inside the context, the earlier ones.
        """
        now = dict(carried)
        carried.update(self._carried)
        with torch.random.fork_rng(self._devices), torch.no_grad():
            torch.set_rng_state(self._random)
            for device, state in zip(self._devices, self._cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
        carried.update(now)
