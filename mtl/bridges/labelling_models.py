"""Models of run folders and of bundles, as other libraries use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mtl.errors import MtlError
from mtl.files import atomic_write

if TYPE_CHECKING:
    from mtl.inference.inputs import Sentence
    from mtl.inference.prediction import Prediction

BUNDLE = "model.mtl"
"""The name of a bundle in a folder."""


class LabelForm(NamedTuple):
    """The values of a task.

    Args:
        level: "token" or "sentence".
        values: The kind of values: "labels", "sets", "numbers", …
        noun: The name of the values in messages, in the plural.
        labels: Its labels; empty for numbers.
        has_spans: Whether its tags form spans.
    """

    level: str
    values: str
    noun: str
    labels: Sequence[str]
    has_spans: bool


class LabellingModel(Protocol):
    """A model of a run folder, or of a bundle."""

    @property
    def forms(self) -> Mapping[str, LabelForm]:
        """Task to the form of its values."""

    def select(self, tasks: Sequence[str] | None) -> list[str]:
        """Return the named tasks; None: those that it labels by default.

        Raises:
            MtlError: It has no such task.
        """

    def compare_pairs(self, tasks: Sequence[str]) -> bool:
        """Return whether the tasks compare two sentences.

        Raises:
            MtlError: Some of them do.
        """

    def label(self, texts: Sequence[Sentence], tasks: Sequence[str]) -> Iterator[Prediction]:
        """Yield one prediction with confidences per text."""

    def probabilities(self, prediction: Prediction, task: str) -> dict[str, float]:
        """Return label to probability, of a task with labels, sets or soft labels per text."""

    def files(self) -> dict[str, bytes]:
        """Return path to content, for `write`."""


def open_model(path: Path, *, device: str | None, trust: bool) -> LabellingModel:
    """Load the model of a run folder with torch, or of a bundle without.

    Args:
        path: The run folder, the file of a bundle, or a folder that `write` wrote.
        device: As for `mtl.load`.
        trust: As for `mtl.load`.

    Raises:
        MtlError: There is no model. It is damaged. mtl-runtime is not installed. An option has no
            effect on a bundle.
    """
    bundle = path if path.is_file() else path / BUNDLE
    if not bundle.is_file():
        return _RunModel(path, device, trust)
    if device not in (None, "cpu"):
        raise MtlError(f"device: a bundle runs on the CPU, got {device!r}; leave it out")
    if trust:
        raise MtlError("trust: a bundle imports no modules; leave it out")
    return _BundleModel(bundle)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a model into a folder, which is created.

    Raises:
        MtlError: These are not the files of a model, or one would be outside of the folder.
    """
    if isinstance(files, Mapping) and files.keys() == {BUNDLE}:
        if not isinstance(files[BUNDLE], bytes):
            raise MtlError(f"{BUNDLE!r} is not a file of a model; save the model again")
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / BUNDLE, "wb") as file:
            file.write(files[BUNDLE])
        return
    from mtl.runs.model_files import write_files

    write_files(folder, files)
    (folder / BUNDLE).unlink(missing_ok=True)  # of an earlier model


class _RunModel:
    """The model of a run folder, or an ensemble."""

    def __init__(self, path: Path, device: str | None, trust: bool) -> None:
        from mtl.trained_model import load

        self._model = load(path, device=device, trust=trust)
        predictor = self._model.predictor
        self.forms = {
            task: LabelForm(
                target.level,
                target.values,
                target.noun,
                target.labels,
                bool(predictor.schemes.get(task)),
            )
            for task, target in predictor.targets.items()
        }

    def select(self, tasks: Sequence[str] | None) -> list[str]:
        return self._model.selection.labelling(tasks)

    def compare_pairs(self, tasks: Sequence[str]) -> bool:
        return self._model.selection.compare_pairs(tasks)

    def label(self, texts: Sequence[Sentence], tasks: Sequence[str]) -> Iterator[Prediction]:
        return self._model.predictor.run(
            texts,
            tasks,
            confidence=True,
            logits=True,
            by_sentence=self._model.selection.by_sentence(tasks),
        )

    def probabilities(self, prediction: Prediction, task: str) -> dict[str, float]:
        predictor, logits = self._model.predictor, prediction[task].logits
        assert logits is not None
        logits = logits.double() / predictor.temperature(task).labels
        head = predictor.head(task)
        found = head.log_probs_from(logits.unsqueeze(0))[0].exp().tolist()
        return dict(zip(head.labels, found, strict=True))

    def files(self) -> dict[str, bytes]:
        from mtl.runs.model_files import model_files

        return model_files(self._model.folder)


class _BundleModel:
    """The model of a bundle."""

    def __init__(self, path: Path) -> None:
        from mtl.runs.bundles import load_bundle

        self._path = path
        self._model: Any = load_bundle(path)
        self.forms = {
            task: LabelForm(
                decoder.form.level,
                decoder.form.values,
                decoder.form.noun,
                decoder.labels,
                decoder.has_spans,
            )
            for task, decoder in self._model.predictor.decoders.items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path; unpickling loads the model, as for run folders."""
        return type(self), (self._path.absolute(),)

    def select(self, tasks: Sequence[str] | None) -> list[str]:
        return list(self._call(self._model.select, tasks))

    def compare_pairs(self, tasks: Sequence[str]) -> bool:
        return bool(self._call(self._model.compare_pairs, tasks))

    def label(self, texts: Sequence[Sentence], tasks: Sequence[str]) -> Iterator[Prediction]:
        found: list[Prediction] = self._call(lambda: list(self._label(texts, tasks)))
        return iter(found)

    def _label(self, texts: Sequence[Sentence], tasks: Sequence[str]) -> Iterator[Prediction]:
        own: Iterator[Prediction] = self._model.predictor.run(
            texts,
            tasks,
            confidence=True,
            logits=True,
            by_sentence=self._model.by_sentence(tasks),
        )
        return own

    def probabilities(self, prediction: Prediction, task: str) -> dict[str, float]:
        own: Any = prediction[task]
        if self.forms[task].values == "sets":
            return dict(own.confidence)
        if self.forms[task].values == "distributions":
            return dict(own.labels)
        logits = np.asarray(own.logits, np.float64)[None]
        found = self._model.predictor.decoders[task].label_probabilities(logits)[0]
        return dict(zip(self.forms[task].labels, found.tolist(), strict=True))

    def files(self) -> dict[str, bytes]:
        return {BUNDLE: self._path.read_bytes()}

    @staticmethod
    def _call(method: Any, *arguments: Any) -> Any:
        """Call a method of the runtime; raise its errors as errors of this package."""
        import mtl_runtime

        try:
            return method(*arguments)
        except (mtl_runtime.BundleError, mtl_runtime.MtlError) as error:
            raise MtlError(str(error)) from None
