"""Estimators with the interface of scikit-learn, which need not be installed.

    classifier = mtl.Classifier(epochs=10).fit(texts, labels)
    classifier.predict(["A fine film."])

They work in `Pipeline`, `cross_val_score` and `GridSearchCV`.
"""

from __future__ import annotations

import inspect
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mtl.api import train
from mtl.errors import CheckpointError, MtlError, did_you_mean
from mtl.metrics import Accuracy, SpanF1
from mtl.runs.checkpoint import TRAINING, read_json, write_json
from mtl.trained_model import TrainedModel, load

_SAVED = "estimator.json"
"""The file with the parameters and classes of a saved estimator, in its run folder."""

_FEWEST = 20
"""The fewest sentences from which a development set is cut."""

_NOT_LABELS = ("", "_", "-1")
"""Strings that mean a missing label in files."""


class InputError(MtlError, ValueError):
    """The data does not have the form that an estimator expects."""


class _Estimator:
    """The shared part of `Classifier` and `Tagger`."""

    _task: ClassVar[str]
    _params: tuple[str, ...]
    classes_: NDArray[Any]
    """The labels of the training data, sorted; set by `fit`."""

    def __init_subclass__(cls) -> None:
        cls._params = tuple(inspect.signature(cls.__init__).parameters)[1:]

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
        own = {name: getattr(self, name) for name in self._params}
        trunk = own["trunk"]
        if isinstance(trunk, str):
            trunk = {
                "type": trunk,
                "num_layers": 1,
                "hidden_size": 200,
                "bidirectional": True,
                "dropout": 0.4,
            }
        if own["init"] is not None:
            trunk = {**trunk, "init": own["init"]}
        labels = {"labels": self._task, "head": own["head"], **self._labels()}
        return {
            "seed": own["seed"],
            "corpora": {"data": {"tasks": {self._task: labels}}},
            "embedding": {
                "words": {"dim": 100, "min_count": 1, "dropout": 0.2},
                "characters": {"type": "cnn", "dim": 30, "filters": 50},
                "affixes": {"dim": 20},
            },
            "trunk": trunk,
            "tasks": {self._task: {"use": f"data/{self._task}"}},
            "training": {
                "epochs": own["epochs"],
                "patience": own["patience"],
                "batch": {"sentences": own["batch_size"]},
                "optimizer": {"type": "adam", "lr": own["lr"]},
                "schedule": {"type": "constant", "warmup": 10},
            },
        }

    def _labels(self) -> dict[str, Any]:
        """Return the keys of the task that depend on the kind of labels."""
        raise NotImplementedError

    def _fit(self, rows: list[dict[str, Any]], dev: list[dict[str, Any]] | None) -> Self:
        config = self._configuration()
        data = {"train": rows}
        share = self.get_params()["dev"]
        if dev is not None:
            data["dev"] = dev
        elif share is not None and len(rows) >= _FEWEST:
            config["corpora"]["data"]["splits"] = {"dev": share}
        output = self.get_params()["output"]
        folder = self._temporary() / "run" if output is None else Path(output)
        model = train(
            config,
            self.get_params()["config"] or {},
            data={"data": data},
            output=folder,
            progress=self.get_params()["progress"],
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
            MtlError: The estimator is not fitted; it is a `NotFittedError` of scikit-learn too, if
                that is installed.
        """
        if not self.__sklearn_is_fitted__():
            raise _not_fitted(type(self).__name__)
        if self._model is None:
            folder = self._temporary() / "run"
            for name, content in (self._files or {}).items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            self._model = load(folder)
        return self._model

    def __sklearn_is_fitted__(self) -> bool:
        return "classes_" in vars(self)

    # ---- saving

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self.__sklearn_is_fitted__():
            # A run folder is data: unpickling creates files, and reads them as `load` does.
            state |= {"_model": None, "_files": self._files or _content(self.model_.folder)}
        return state

    def save(self, folder: str | PathLike[str]) -> None:
        """Write the fitted estimator: a run folder, which `mtl.load` and `mtl predict` read too.

        Raises:
            MtlError: The estimator is not fitted, the folder exists and is not empty, or a
                parameter cannot be written as JSON.
        """
        folder = Path(folder)
        content = _content(self.model_.folder)
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
            for name, data in content.items():
                (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
                (unfinished / name).write_bytes(data)
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
        return estimator


class Classifier(_Estimator):
    """Classifies texts; has the interface of a classifier of scikit-learn.

    Args:
        head: The head, by name or with options: "pool", "attention" or "cnn".
        trunk: The trunk, by name ("lstm", "gru" or "qrnn", one layer), or with all its options.
        init: A run folder, or "wikitext2", whose trained trunk and embedding are the start.
        epochs: The most epochs.
        patience: The number of epochs without improvement on the development set after which
            training stops; None: never.
        lr: The learning rate.
        batch_size: The number of sentences per batch.
        dev: The share of the training data, or the number of sentences, that selects the best
            epoch if `fit` gets no development set; None: none. Data of fewer than 20 sentences is
            not divided.
        seed: The seed of all random numbers.
        config: Changes to the resulting run file, as the overrides of `mtl.train`:
            `{"trunk.dropout": 0.5}`.
        output: The run folder; None: a temporary folder, which is removed with the estimator.
        progress: As for `mtl.train`.
    """

    _estimator_type = "classifier"  # read by scikit-learn before 1.6
    _task = "label"

    def __init__(
        self,
        *,
        head: str | Mapping[str, Any] = "pool",
        trunk: str | Mapping[str, Any] = "lstm",
        init: str | None = None,
        epochs: int = 20,
        patience: int | None = 5,
        lr: float = 0.004,
        batch_size: int = 8,
        dev: str | int | None = "10%",
        seed: int = 1,
        config: Mapping[str, Any] | None = None,
        output: str | PathLike[str] | None = None,
        progress: bool | None = False,
    ) -> None:
        self.head = head
        self.trunk = trunk
        self.init = init
        self.epochs = epochs
        self.patience = patience
        self.lr = lr
        self.batch_size = batch_size
        self.dev = dev
        self.seed = seed
        self.config = config
        self.output = output
        self.progress = progress

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:
        """Train the model.

        Args:
            X: Texts, or lists of words.
            y: The label of each text: strings, whole numbers or booleans.
            dev: Texts and labels of a development set, which selects the best epoch.

        Raises:
            InputError: The data does not have this form.
            MtlError: A parameter has no such value.
        """
        texts, labels = _texts(X, "X"), _class_labels(y, "y")
        rows = _rows(self._task, texts, labels)
        held = None
        if dev is not None:
            held = _rows(self._task, _texts(dev[0], "dev[0]"), _class_labels(dev[1], "dev[1]"))
        self._fit(rows, held)
        self.classes_ = np.array(sorted(set(labels)))
        return self

    def _labels(self) -> dict[str, Any]:
        return {"metric": "accuracy"}

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each text, `[N]`."""
        found = self.model_.predict(_texts(X, "X"))[self._task]
        position = {_name(label): i for i, label in enumerate(self.classes_.tolist())}
        return self.classes_[[position[name] for name in found]]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each label, `[N, K]`, in the order of `classes_`."""
        labels, rows = self.model_.probabilities(_texts(X, "X"), self._task)
        return _in_order(np.array(rows).reshape(-1, len(labels)), labels, self._names())

    def _names(self) -> list[str]:
        return list(map(_name, self.classes_.tolist()))

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy."""
        expected = _class_labels(y, "y")
        _same_length(X, expected)
        return float(np.mean([a == b for a, b in zip(self.predict(X), expected, strict=True)]))

    def __sklearn_tags__(self) -> Any:
        return _tags("classifier")


class Tagger(_Estimator):
    """Labels each word of sentences; has the interface of an estimator of scikit-learn.

    Args:
        scheme: The scheme of span tags such as B-PER: "bio", "iob1" or "iobes"; None: the tags are
            not spans. With a scheme, `score` is the F1 of spans.
        head: The head, by name or with options: "crf", "softmax" or "constrained".
        trunk: As for `Classifier`, and so are the parameters below.
        init: A run folder, or "wikitext2", whose trained trunk and embedding are the start.
        epochs: The most epochs.
        patience: The number of epochs without improvement after which training stops; None: never.
        lr: The learning rate.
        batch_size: The number of sentences per batch.
        dev: The share of the training data that selects the best epoch.
        seed: The seed of all random numbers.
        config: Changes to the resulting run file.
        output: The run folder; None: a temporary folder.
        progress: As for `mtl.train`.
    """

    _task = "tag"

    def __init__(
        self,
        *,
        scheme: str | None = None,
        head: str | Mapping[str, Any] = "crf",
        trunk: str | Mapping[str, Any] = "lstm",
        init: str | None = None,
        epochs: int = 20,
        patience: int | None = 5,
        lr: float = 0.004,
        batch_size: int = 8,
        dev: str | int | None = "10%",
        seed: int = 1,
        config: Mapping[str, Any] | None = None,
        output: str | PathLike[str] | None = None,
        progress: bool | None = False,
    ) -> None:
        self.scheme = scheme
        self.head = head
        self.trunk = trunk
        self.init = init
        self.epochs = epochs
        self.patience = patience
        self.lr = lr
        self.batch_size = batch_size
        self.dev = dev
        self.seed = seed
        self.config = config
        self.output = output
        self.progress = progress

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:
        """Train the model.

        Args:
            X: Lists of words.
            y: For each sentence a list with one tag per word, all of them strings.
            dev: Sentences and tags of a development set, which selects the best epoch.

        Raises:
            InputError: The data does not have this form.
            MtlError: A parameter has no such value.
        """
        sentences, tags = _sentences(X, y, "X", "y")
        held = None
        if dev is not None:
            held = _rows(self._task, *_sentences(*dev, "dev[0]", "dev[1]"))
        self._fit(_rows(self._task, sentences, tags), held)
        self.classes_ = np.array(sorted({tag for row in tags for tag in row}))
        return self

    def _labels(self) -> dict[str, Any]:
        scored = {"scheme": self.scheme, "metric": "span_f1"}
        return scored if self.scheme else {"metric": "accuracy"}

    def predict(self, X: Any) -> list[list[str]]:
        """Return the tags of the words of each sentence."""
        found: list[list[str]] = self.model_.predict(_words(X, "X"))[self._task]
        return found

    def predict_proba(self, X: Any) -> list[NDArray[np.float64]]:
        """Return the probability of each tag for each word, `[T, K]` per sentence of T words.

        The columns are in the order of `classes_`. A tag of a span that only a scheme adds, such as
        I-PER where the data has B-PER alone, has no column.
        """
        labels, rows = self.model_.probabilities(_words(X, "X"), self._task)
        return [_in_order(row, labels, self.classes_.tolist()) for row in rows]

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy of the tags, or with a scheme the micro-averaged F1 of the spans."""
        sentences, tags = _sentences(X, y, "X", "y")
        metric = SpanF1() if self.scheme else Accuracy()
        metric.update(list(map(tuple, tags)), list(map(tuple, self.predict(sentences))))
        return next(iter(metric.compute().values()))

    def __sklearn_tags__(self) -> Any:
        return _tags(None)


# ---- checks of the data


def _listed(value: Any, name: str) -> list[Any]:
    """Return data as a list."""
    if hasattr(value, "columns") or getattr(value, "ndim", 1) != 1:
        shape = getattr(value, "shape", None)
        raise InputError(f"{name}: expected a list or one column, got a table of shape {shape}")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{name}: expected a list, got {type(value).__name__}")
    items = list(value.tolist() if hasattr(value, "tolist") else value)
    return [item.tolist() if hasattr(item, "tolist") else item for item in items]


def _filled(value: Any, name: str) -> list[Any]:
    items = _listed(value, name)
    if not items:
        raise InputError(f"{name}: expected at least one item, got none")
    return items


def _texts(value: Any, name: str) -> list[Any]:
    """Return texts, or lists of words."""
    items = _listed(value, name)
    for i, item in enumerate(items):
        if not isinstance(item, str):
            items[i] = _strings(item, f"{name}[{i}]", "a text or a list of words")
    return items


def _words(value: Any, name: str) -> list[list[str]]:
    """Return lists of words."""
    items = enumerate(_listed(value, name))
    return [_strings(item, f"{name}[{i}]", "a list of words") for i, item in items]


def _sentences(X: Any, y: Any, name: str, labels: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return lists of words and of tags of the same lengths."""
    _filled(X, name)
    sentences = _words(X, name)
    tags = [
        _strings(item, f"{labels}[{i}]", "a list of tags")
        for i, item in enumerate(_listed(y, labels))
    ]
    _same_length(sentences, tags)
    for i, (words, own) in enumerate(zip(sentences, tags, strict=True)):
        if len(words) != len(own):
            counts = f"{len(words)} words and {len(own)} tags"
            raise InputError(f"{name}[{i}], {labels}[{i}]: expected one tag per word, got {counts}")
    return sentences, tags


def _strings(value: Any, place: str, expected: str) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"{place}: expected {expected}, got {value!r}")
    for item in value:
        if not isinstance(item, str):
            raise InputError(f"{place}: expected {expected}, found {item!r} in it")
    return list(map(str, value))


def _class_labels(value: Any, name: str) -> list[Any]:
    """Return labels of one type, which have different names."""
    labels = _filled(value, name)
    for i, label in enumerate(labels):
        whole = isinstance(label, float) and label.is_integer()
        if not (isinstance(label, str | int) or whole):
            raise InputError(f"{name}[{i}]: expected a string or a whole number, got {label!r}")
    if len({isinstance(label, str) for label in labels}) > 1:
        raise InputError(f"{name}: expected labels of one type, got strings and numbers")
    return labels


def _name(label: Any) -> str:
    """Return the name of a label in the run folder."""
    return f"class {label}" if str(label) in _NOT_LABELS else str(label)


def _same_length(X: Any, y: Any) -> None:
    if len(X) != len(y):
        raise InputError(f"expected as many labels as texts, got {len(y)} for {len(X)}")


def _rows(task: str, inputs: Sequence[Any], labels: Sequence[Any]) -> list[dict[str, Any]]:
    _same_length(inputs, labels)
    return [
        {
            "text" if isinstance(item, str) else "tokens": item,
            task: label if isinstance(label, list) else _name(label),
        }
        for item, label in zip(inputs, labels, strict=True)
    ]


def _in_order(
    rows: NDArray[np.float64], labels: Sequence[str], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return the columns of probabilities in the order of the classes; 0 for unknown classes."""
    padded = np.concatenate([rows, np.zeros((len(rows), 1))], axis=1)
    position = {label: i for i, label in enumerate(labels)}
    return padded[:, [position.get(label, len(labels)) for label in classes]]


# ---- folders and scikit-learn


def _content(folder: Path) -> dict[str, bytes]:
    """Return the files of a run folder, without the state and the curves of training."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in names.items()
        if name.parts[0] not in (TRAINING, _SAVED) and not name.name.startswith("events.")
    }


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


def _tags(kind: str | None) -> Any:
    """Return the tags of scikit-learn; only scikit-learn asks for them."""
    from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind else None,
        input_tags=InputTags(two_d_array=False, string=True),
    )
