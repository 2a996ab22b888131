"""A model of a run folder, or of a bundle, as the server uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mtl.errors import MtlError


class Labelled(Protocol):
    """A prediction for one text."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""


@dataclass(frozen=True)
class ServedTask:
    """The properties of a task that users of the server see.

    Args:
        level: "token" or "sentence".
        values: The kind of values: "labels", "sets", "numbers", "distributions" or "log_probs".
        pairs: Whether it reads pairs of sentences.
        spans: Whether its tags form spans.
        attention: Whether its attention weights can be requested.
    """

    level: str
    values: str
    pairs: bool
    spans: bool
    attention: bool


@dataclass(frozen=True)
class ServedModel:
    """A model, and the methods that the server calls.

    Args:
        name: The name of its folder or file.
        tasks: Name to task.
        annotate: Returns predictions; arguments as for `TrainedModel.annotate`.
        select: Returns the named tasks; None: those that it labels by default.
        compare_pairs: Returns whether tasks read pairs.
        errors: The exceptions that the input of a user causes.
    """

    name: str
    tasks: Mapping[str, ServedTask]
    annotate: Callable[..., Iterator[Labelled]]
    select: Callable[[Sequence[str] | None], list[str]]
    compare_pairs: Callable[[Sequence[str]], bool]
    errors: tuple[type[Exception], ...]


def open_model(path: Path, *, device: str | None = None, trust: bool = False) -> ServedModel:
    """Load a run folder with torch, or a bundle without.

    Args:
        path: The run folder, the name of a model of the package, or the file of a bundle.
        device: As for `mtl.load`.
        trust: As for `mtl.load`.

    Raises:
        MtlError: There is no model, or it is damaged; or mtl-runtime is not installed.
    """
    return _bundle(path) if path.is_file() else _run_folder(path, device, trust)


def _run_folder(path: Path, device: str | None, trust: bool) -> ServedModel:
    from mtl.trained_model import load

    model = load(path, device=device, trust=trust)
    predictor, selection = model.predictor, model.selection
    labelled = _labelled(model.tasks, selection.labelling)
    tasks = {
        name: ServedTask(
            target.level,
            target.values,
            selection.compare_pairs([name]),
            bool(predictor.schemes.get(name)),
            predictor.attention(name) is not None,
        )
        for name, target in predictor.targets.items()
        if name in labelled
    }
    return ServedModel(
        path.name,
        tasks,
        model.annotate,
        selection.labelling,
        selection.compare_pairs,
        (MtlError,),
    )


def _labelled(
    tasks: Sequence[str], select: Callable[[Sequence[str] | None], list[str]]
) -> list[str]:
    """Return the tasks that can label words; others read parts of words."""
    found = []
    for task in tasks:
        try:
            found += select([task])
        except MtlError as error:
            refused = error
    if not found:
        raise refused
    return found


def _bundle(path: Path) -> ServedModel:
    from mtl.runs.bundles import load_bundle

    model = load_bundle(path)
    tasks = {
        name: ServedTask(
            decoder.form.level,
            decoder.form.values,
            model.compare_pairs([name]),
            bool(decoder.scheme),
            attention=False,
        )
        for name, decoder in model.predictor.decoders.items()
    }

    def annotate(texts: Any, tasks: Sequence[str], **options: Any) -> Iterator[Labelled]:
        options.pop("attention")  # a request for it was refused, as no task has any
        found: Iterator[Labelled] = model.annotate(texts, tasks, **options)
        return found

    import mtl_runtime

    errors = (mtl_runtime.MtlError,)
    return ServedModel(path.name, tasks, annotate, model.select, model.compare_pairs, errors)
