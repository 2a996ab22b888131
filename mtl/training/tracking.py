"""The values of a run for experiment trackers: MLflow and Weights & Biases.

Server, project and experiment come from the environment variables of the trackers, such as
`MLFLOW_TRACKING_URI` and `WANDB_PROJECT`.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from mtl.config.run import TrackerName
from mtl.errors import MtlError, not_installed
from mtl.runs.checkpoint import from_json, read_json, write_json

TRACKING = "tracking.json"
"""The ids of a run in its trackers, with which a resumed run continues them."""
End: TypeAlias = Literal["finished", "stopped", "failed"]
"""How training ended; a stopped run can be resumed."""
_TOGETHER = 100
"""The most parameters that MLflow takes at once."""
_LONGEST = 500
"""The most characters of a parameter in MLflow."""


class Tracker(ABC):
    """A client of a tracker. Its methods raise the exceptions of the client."""

    extra: ClassVar[TrackerName]
    """Its name."""

    def __init__(self, module: Any) -> None:
        self._module = module

    @abstractmethod
    def begin(self, own_id: str | None, title: str, config: Mapping[str, Any]) -> str:
        """Begin or continue a run.

        Args:
            own_id: The id of the run to continue; None: a new run.
            title: The name of a new run.
            config: The keys of the run file.

        Returns:
            The id.
        """

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values by name for a step."""

    @abstractmethod
    def end(self, end: End) -> None:
        """End the run."""


class MlflowTracker(Tracker):
    """MLflow. Inside of an active run of the program, the run is a nested one."""

    extra = "mlflow"

    def begin(self, own_id: str | None, title: str, config: Mapping[str, Any]) -> str:
        """Begin or continue a run; a new run gets the configuration as parameters."""
        name = None if own_id else title
        run = self._module.start_run(run_id=own_id, run_name=name, nested=True)
        if own_id is None:
            items = iter(config.items())
            while part := dict(islice(items, _TOGETHER)):
                self._module.log_params(
                    {_plain(key): str(value)[:_LONGEST] for key, value in part.items()}
                )
        return str(run.info.run_id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values as metrics."""
        self._module.log_metrics({_plain(key): value for key, value in values.items()}, step=step)

    def end(self, end: End) -> None:
        """End the run with a status."""
        status = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}[end]
        self._module.end_run(status)


class WandbTracker(Tracker):
    """Weights & Biases. The step is a value of its own, which may repeat after a resume."""

    extra = "wandb"

    def begin(self, own_id: str | None, title: str, config: Mapping[str, Any]) -> str:
        """Begin or continue a run with the configuration."""
        self._run = self._module.init(
            id=own_id,
            name=None if own_id else title,
            config=dict(config),
            resume="allow" if own_id else None,
            reinit="create_new",
        )
        self._run.define_metric("*", step_metric="step")
        return str(self._run.id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values, and the step."""
        self._run.log({**values, "step": step})

    def end(self, end: End) -> None:
        """End the run; only a failure has an exit code other than 0."""
        self._run.finish(exit_code=int(end == "failed"))


TRACKERS: Mapping[TrackerName, type[Tracker]] = {"mlflow": MlflowTracker, "wandb": WandbTracker}


def check_trackers(names: Iterable[TrackerName]) -> list[Tracker]:
    """Return the trackers of a run, which have not begun.

    Raises:
        MtlError: The package of a tracker is not installed.
    """
    found = []
    for name in dict.fromkeys(names):
        tracker = TRACKERS[name]
        try:
            found.append(tracker(import_module(tracker.extra)))
        except ImportError as error:
            raise MtlError(not_installed(f"training.track: {name}", name, error)) from error
    return found


class Tracking:
    """The trackers of a run, in its folder.

    Args:
        trackers: The trackers.
        folder: The run folder, which keeps the ids.
        config: The run as JSON types.

    Raises:
        MtlError: A tracker cannot begin, for example without a network.
    """

    def __init__(
        self, trackers: Sequence[Tracker], folder: Path, config: Mapping[str, Any]
    ) -> None:
        self._trackers: list[Tracker] = []
        path = folder / TRACKING
        ids: dict[str, str] = {}
        if path.is_file() and trackers:
            ids = from_json(path, dict[str, str], dict, read_json(path))
        keys = flat(config)
        for tracker in trackers:
            name = tracker.extra
            try:
                own = tracker.begin(ids.get(name), folder.name, keys)
            # The clients pass on the exceptions of networks, files and servers.
            except Exception as error:
                self.close("failed", lambda line: None)
                known = f" (run {ids[name]} of {path})" if name in ids else ""
                raise MtlError(
                    f"training.track: {name}{known} cannot begin: {_line(error)}; check its "
                    "settings, or leave it out"
                ) from error
            self._trackers.append(tracker)
            if ids.get(name) != own:
                ids[name] = own
                write_json(path, ids)

    def log(self, values: Mapping[str, float], step: int, note: Callable[[str], None]) -> None:
        """Log values by name for a step. A tracker that fails is left out from then on.

        Args:
            values: The values.
            step: The step.
            note: Is called with a line about a tracker that fails.
        """
        for tracker in [*self._trackers]:
            try:
                tracker.log(values, step)
            except Exception as error:  # training is worth more than its curves
                self._trackers.remove(tracker)
                note(f"note: {tracker.extra} failed and gets no more values: {_line(error)}")

    def close(self, end: End, note: Callable[[str], None]) -> None:
        """End the run in each tracker."""
        for tracker in self._trackers:
            try:
                tracker.end(end)
            except Exception as error:
                note(f"note: {tracker.extra} failed at the end: {_line(error)}")
        self._trackers = []


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested dictionaries by their paths; lists are JSON.

    >>> flat({"seed": 1, "training": {"epochs": 2, "track": ["mlflow"]}})
    {'seed': 1, 'training.epochs': 2, 'training.track': '["mlflow"]'}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | Mapping):
            found[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
        else:
            found[f"{prefix}{key}"] = value
    return found


def _plain(name: str) -> str:
    """Return a name with the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
