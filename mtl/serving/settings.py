"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mtl.serving.limits import Limits
from mtl.serving.served_model import ServedModel, open_model


@dataclass(frozen=True)
class ServerSettings:
    """The settings of a server.

    Args:
        path: The run folder, or the file of a bundle.
        device: As for `mtl.load`.
        trust: As for `mtl.load`.
        host: The address at which the server listens.
        port: The port; 0: a free one.
        workers: The number of processes, each with the model.
        limits: The limits.
    """

    path: Path
    device: str | None = None
    trust: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    limits: Limits = field(default_factory=Limits)

    def open_model(self) -> ServedModel:
        """Load the model; see `open_model`."""
        return open_model(self.path, device=self.device, trust=self.trust)
