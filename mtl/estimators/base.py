"""The parts that both estimators share: parameters, training and saving."""

from __future__ import annotations

import inspect
import os
import secrets
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mtl.api import train
from mtl.data.given import GivenSplit
from mtl.errors import CheckpointError, MtlError, did_you_mean
from mtl.estimators.inputs import InputError
from mtl.estimators.pretrained import TRANSFORMER_LR, is_run, keys_of_run, keys_of_transformer
from mtl.runs.checkpoint import read_json, write_json
from mtl.runs.model_files import model_files, write_files
from mtl.trained_model import TrainedModel, load

_SAVED = "estimator.json"
"""The file with the parameters and classes of a saved estimator, in its run folder."""

_RECURRENT = ("lstm", "gru", "qrnn")
_ONE_LAYER = {"num_layers": 1, "hidden_size": 200, "bidirectional": True, "dropout": 0.4}
"""The options of a recurrent trunk if only its name is given."""

_LR = 0.004
"""The learning rate, unless one is given or the trunk is a pretrained transformer."""

_FEWEST = 20
"""The fewest sentences from which a development set is cut."""


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(ABC):
    """The shared part of `Classifier` and `Tagger`, which document the parameters."""

    _task: ClassVar[str]
    classes_: NDArray[Any] = field(init=False)
    """The labels of the training data, sorted; set by `fit`."""

    head: str | Mapping[str, Any]
    trunk: str | Mapping[str, Any] | None = None
    init: str | PathLike[str] | None = None
    epochs: int = 20
    patience: int | None = 5
    lr: float | None = None
    batch_size: int = 8
    dev: str | int | None = "10%"
    seed: int = 1
    config: Mapping[str, Any] | None = None
    output: str | PathLike[str] | None = None
    progress: bool | None = False

    @property
    def _params(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(own.name for own in fields(self) if own.init)

    # ---- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name. `deep` changes nothing: none of them is an estimator."""
        return {name: getattr(self, name) for name in self._params}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, and return the estimator."""
        for name, value in params.items():
            if name not in self._params:
                kind = type(self).__name__
                near = did_you_mean(name, self._params)
                raise InputError(f"{kind} has no parameter {name!r}{near}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    # ---- training

    def _configuration(self) -> dict[str, Any]:
        """Return the run as a dictionary."""
        trunk = "lstm" if self.trunk is None else self.trunk
        if isinstance(trunk, str):
            trunk = {"type": trunk, **(_ONE_LAYER if trunk in _RECURRENT else {})}
        start: dict[str, Any] = {}
        if self.init is not None:
            if not isinstance(self.init, str | PathLike):
                raise InputError(f"init: expected a folder or a name, got {self.init!r}")
            init = os.fspath(self.init)
            if self.trunk is not None:
                trunk = {**trunk, "init": init}
            elif is_run(init):
                start = keys_of_run(init)
            else:
                start = keys_of_transformer(init, TRANSFORMER_LR if self.lr is None else self.lr)
        further = start.pop("training", {})
        labels = {"labels": self._task, "head": self.head, **self._labels()}
        return {
            "seed": self.seed,
            "corpora": {"data": {"tasks": {self._task: labels}}},
            "embedding": {
                "words": {"dim": 100, "min_count": 1, "dropout": 0.2},
                "characters": {"type": "cnn", "dim": 30, "filters": 50},
                "affixes": {"dim": 20},
            },
            "trunk": trunk,
            "tasks": {self._task: {"use": f"data/{self._task}"}},
            "training": {
                "epochs": self.epochs,
                "patience": self.patience,
                "batch": {"sentences": self.batch_size},
                "optimizer": {"type": "adam", "lr": _LR if self.lr is None else self.lr},
                "schedule": {"type": "constant", "warmup": 10},
                **further,
            },
            **start,
        }

    @abstractmethod
    def _labels(self) -> dict[str, Any]:
        """Return the keys of the task that depend on the kind of labels."""

    def _fit(self, rows: list[dict[str, Any]], dev: list[dict[str, Any]] | None) -> Self:
        config = self._configuration()
        # Messages name the arguments of `fit`.
        data = {"train": GivenSplit("X", rows)}
        if dev is not None:
            data["dev"] = GivenSplit("dev[0]", dev)
        elif self.dev is not None and len(rows) >= _FEWEST:
            config["corpora"]["data"]["splits"] = {"dev": self.dev}
        folder = self._temporary() / "run" if self.output is None else Path(self.output)
        model = train(
            config,
            self.config or {},
            data={"data": data},
            output=folder,
            progress=self.progress,
        )
        if not isinstance(model, TrainedModel):
            raise InputError("config: expected one seed")
        self._model: TrainedModel | None = model
        self._files: dict[str, bytes] | None = None
        return self

    def _temporary(self) -> Path:
        """Return a new folder that is removed with the estimator."""
        folder = Path(tempfile.mkdtemp(prefix="mtl-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    @property
    def model_(self) -> TrainedModel:
        """The trained model.

        Raises:
            MtlError: The estimator is not fitted. If scikit-learn is installed, the exception is
                also its `NotFittedError`.
        """
        if not self.__sklearn_is_fitted__():
            raise _not_fitted(type(self).__name__)
        if self._model is None:
            folder = self._temporary() / "run"
            write_files(folder, self._files or {})
            self._model = load(folder)
        return self._model

    def __sklearn_is_fitted__(self) -> bool:
        return "classes_" in vars(self)

    # ---- saving

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self.__sklearn_is_fitted__():
            # A run folder is data: unpickling creates files, and reads them as `load` does.
            state |= {"_model": None, "_files": self._files or model_files(self.model_.folder)}
        return state

    def save(self, folder: str | PathLike[str]) -> None:
        """Save the fitted estimator as a run folder, which `mtl.load` and `mtl predict` also read.

        Raises:
            MtlError: The estimator is not fitted, the folder exists and is not empty, or a
                parameter cannot be written as JSON.
        """
        folder = Path(folder)
        content = {
            name: data for name, data in model_files(self.model_.folder).items() if name != _SAVED
        }
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise MtlError(f"{folder}: exists already; choose another folder, or remove it")
        params = {name: _saved(value) for name, value in self.get_params().items()}
        record = {
            "type": type(self).__name__,
            "params": params,
            "classes": self.classes_.tolist(),
        }
        unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            write_files(unfinished, content)
            write_json(unfinished / _SAVED, record)
            os.replace(unfinished, folder)
        except OSError as error:
            raise MtlError(f"cannot write {folder}: {error.strerror}") from error
        except TypeError as error:
            raise MtlError(f"a parameter cannot be saved: {error}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Self:
        """Return the estimator that `save` wrote.

        Raises:
            CheckpointError: The folder does not have such an estimator, or it is damaged.
        """
        path = Path(folder) / _SAVED
        record = read_json(path)
        if not isinstance(record, dict) or record.get("type") != cls.__name__:
            raise CheckpointError(f"{path}: not a saved {cls.__name__}")
        try:
            estimator = cls(**record["params"])
            estimator.classes_ = np.array(record["classes"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: not a saved {cls.__name__}: {error}") from error
        estimator._model, estimator._files = load(folder), None
        if estimator.classes_.ndim != 1 or not estimator._knows_labels():
            raise CheckpointError(
                f"{path}: its classes differ from the labels of the model; save it again"
            )
        return estimator

    def _knows_labels(self) -> bool:
        """Return whether `classes_` has all labels that the model may predict."""
        return True


def _saved(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, PathLike) else value


def _not_fitted(name: str) -> Exception:
    """Return an error that scikit-learn recognises, if it is installed."""
    message = f"this {name} is not fitted; call fit first"
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return MtlError(message)

    class Unfitted(MtlError, NotFittedError):  # type: ignore[misc]
        pass

    return Unfitted(message)


def sklearn_tags(kind: str | None) -> Any:
    """Return the tags of scikit-learn; only scikit-learn asks for them."""
    from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind else None,
        input_tags=InputTags(two_d_array=False, string=True),
    )
