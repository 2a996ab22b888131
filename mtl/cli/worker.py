"""A command that runs in several processes, which torchrun has started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Self

# PyTorch is imported late, as in `mtl.cli.main`.

LAUNCHED = "MTL_LAUNCHED"
"""A variable that is set in the processes of `mtl train --processes`."""
COMMANDS = ("train", "distil")
"""The commands that work in several processes."""


class Worker:
    """One of the processes. Only the first one prints, and an error is printed once.

    Args:
        rank: The number of the process.
        launched: Whether `mtl train --processes` has started it, and reports lost processes.
    """

    def __init__(self, rank: int, launched: bool) -> None:
        self.rank = rank
        self.launched = launched
        self.errors = sys.stderr
        """Standard error, for messages that only this process has."""

    @classmethod
    def started(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return the worker that this process is; None for a command in one process."""
        # As in `mtl.training.processes`.
        found = [environment.get(name) for name in ("RANK", "MASTER_ADDR", "MASTER_PORT")]
        if not all(found) or environment.get("WORLD_SIZE", "1") == "1":
            return None
        return cls(int(environment["RANK"]), LAUNCHED in environment)

    def refusal(self, arguments: list[str]) -> str:
        """Return an error if the command cannot run in several processes; empty if it can."""
        command = next((word for word in arguments if not word.startswith("-")), "")
        if command in COMMANDS or not command:
            return ""
        return (
            f"mtl {command} runs in one process, and torchrun has started several; only "
            f"{' and '.join(COMMANDS)} share their work. Start it without torchrun"
        )

    def silence(self) -> None:
        """Drop all output of the processes other than the first."""
        if self.rank:
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def prints(self, error: BaseException | None, message: str) -> bool:
        """Return whether this process prints an error.

        Args:
            error: The error.
            message: Its message.
        """
        from mtl.training.processes import LostProcess, current

        if isinstance(error, LostProcess):
            # The process that was lost has printed the reason, or whoever started it does.
            return self.rank == 0 and not self.launched and not current().failed
        return current().claim(message) if current().several else self.rank == 0

    def signal_message(self, name: str) -> str:
        """Return the line that ends a command after a signal; empty if this process is silent.

        Args:
            name: The signal, for the user.
        """
        from mtl.training.processes import current

        if self.rank or self.launched or current().failed:
            return ""
        return f"stopped by {name}; the same command with --resume continues"
