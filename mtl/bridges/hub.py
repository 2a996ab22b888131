"""Labels as data sets of the library `datasets` of Hugging Face, with the names of classes.

Both functions build the data set in memory. The other direction needs no function: `mtl.train` and
`TrainedModel.evaluate` read such data sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mtl.config.load import Config
from mtl.config.overrides import Overrides
from mtl.errors import MtlError, not_installed
from mtl.experiment import load_config, load_corpora
from mtl.inference.readouts import output_labels
from mtl.targets import Target
from mtl.targets.label import in_order
from mtl.trained_model import TrainedModel

if TYPE_CHECKING:
    import datasets

    from mtl.data.corpus import Corpus
    from mtl.experiment.task_selection import TextUnit
    from mtl.inference.inputs import Sentences

MISSING = -1
"""The id of a missing label of a token in `datasets`."""


def label_dataset(
    model: TrainedModel,
    sentences: Sentences,
    tasks: Sequence[str] | None = None,
    *,
    confidence: bool = False,
    unit: TextUnit | None = None,
) -> datasets.Dataset:
    """Label texts, and return them as a data set.

    Args:
        model: The model.
        sentences: As for `TrainedModel.predict`.
        tasks: As for `TrainedModel.predict`.
        confidence: Whether to add a column `TASK.confidence` for labels and sets of labels.
        unit: As for `TrainedModel.predict`.

    Returns:
        The columns `text` (for raw texts), `tokens`, `tokens_b` (for pairs), and one per task:
        `ClassLabel`, or sequences of it; numbers; or a probability by label. None: no label.

    Raises:
        MtlError: As for `TrainedModel.predict`; or `datasets` is not installed.
    """
    library = _library()
    selected = model.selection.labelling(tasks)
    found = list(model.annotate(sentences, selected, confidence=confidence, unit=unit))
    targets, schemes = model.predictor.targets, model.predictor.schemes
    features: dict[str, Any] = {}
    columns: dict[str, list[Any]] = {}
    if any(own.text is not None for own in found):
        features["text"] = library.Value("string")
        columns["text"] = [own.text for own in found]
    for side in ("tokens", "tokens_b"):
        if side == "tokens" or any(own.tokens_b is not None for own in found):
            features[side] = library.Sequence(library.Value("string"))
            columns[side] = [list(getattr(own, side) or ()) for own in found]
    for task in selected:
        target, head = targets[task], model.predictor.head(task)
        names = list(dict.fromkeys(output_labels(head.labels, schemes.get(task))))
        features[task] = _feature(library, type(target), names, task)
        values = [own.labels[task] for own in found]
        blank = [own.lacks_label(task) for own in found]
        columns[task] = [
            None if none else _encoded(type(target), value, names)
            for value, none in zip(values, blank, strict=True)
        ]
        if confidence and target.values in ("labels", "sets"):
            name = f"{task}.confidence"
            features[name] = _confidence(library, target, names)
            columns[name] = [
                None if none else _listed(own[task].confidence)
                for own, none in zip(found, blank, strict=True)
            ]
    return library.Dataset.from_dict(columns, features=library.Features(features))


def corpus_datasets(config: Config, overrides: Overrides = ()) -> dict[str, datasets.DatasetDict]:
    """Return the corpora of a run file as data sets, one per corpus, with their splits.

    Tasks whose labels are derived from the text are left out. The class names of a task come
    from all its splits.

    Args:
        config: The run file, or a dictionary with its content.
        overrides: As for `mtl.train`.

    Raises:
        MtlError: The configuration or the data has an error; the labels of a task have no form in
            `datasets`; or `datasets` is not installed.
    """
    library = _library()
    run = load_config(config, overrides)
    informative = {name for name, task in run.tasks.items() if not task.source.derived}
    return {
        name: _corpus(library, corpus, informative) for name, corpus in load_corpora(run).items()
    }


def _corpus(library: Any, corpus: Corpus, informative: Iterable[str]) -> datasets.DatasetDict:
    splits = corpus.splits
    targets: dict[str, type[Target]] = {}
    for split in splits.values():
        targets |= {task: own for task, own in split.targets.items() if task in informative}
    names = {
        task: in_order(
            {
                name
                for split in splits.values()
                if task in split.targets
                for gold in split.labels(task)
                if gold is not None
                for name in target.names(gold)
            }
        )
        for task, target in targets.items()
    }
    pairs = any(example.second is not None for split in splits.values() for example in split[:1])
    sides = ("tokens", "tokens_b") if pairs else ("tokens",)
    features = {side: library.Sequence(library.Value("string")) for side in sides}
    features |= {
        task: _feature(library, target, names[task], task) for task, target in targets.items()
    }
    found = {}
    for name, split in splits.items():
        columns: dict[str, list[Any]] = {column: [] for column in features}
        for example in split:
            for side, words in zip(sides, example.texts, strict=True):
                columns[side].append(list(words))
            for task, target in targets.items():
                gold = example.labels.get(task)
                value = None if gold is None else target.plain(gold)
                columns[task].append(_encoded(target, value, names[task]))
        # The name that `datasets` has for dev sets; `mtl.train` reads both.
        key = "validation" if name == "dev" else name
        found[key] = library.Dataset.from_dict(columns, features=library.Features(features))
    return library.DatasetDict(found)


def _library() -> Any:
    try:
        import datasets  # slow to import
    except ImportError as error:
        raise MtlError(not_installed("a data set of Hugging Face", "hub", error)) from error
    return datasets


def _feature(library: Any, target: type[Target], names: Sequence[str], task: str) -> Any:
    """Return the feature of the values of a task."""
    if target.values == "numbers":
        feature = library.Value("float64")
    elif target.values == "distributions":
        feature = {name: library.Value("float64") for name in names}
    elif target.values == "sets":
        feature = library.Sequence(library.ClassLabel(names=list(names)))
    elif target.plain_labels:
        feature = library.ClassLabel(names=list(names))
    else:
        raise MtlError(f"task {task!r}: {target.noun} have no form in datasets; leave it out")
    # A sequence of dictionaries would become a dictionary of sequences.
    if target.level == "token":
        return [feature] if isinstance(feature, dict) else library.Sequence(feature)
    return feature


def _confidence(library: Any, target: Target, names: Sequence[str]) -> Any:
    number = library.Value("float64")
    own = dict.fromkeys(names, number) if target.values == "sets" else number
    if target.level == "token":
        return [own] if isinstance(own, dict) else library.Sequence(own)
    return own


def _listed(confidence: Any) -> Any:
    return list(confidence) if isinstance(confidence, tuple) else confidence


def _encoded(target: type[Target], value: Any, names: Sequence[str]) -> Any:
    """Return a plain value of a sentence or of its tokens with ids in place of names."""
    if value is None:
        return None
    ids = {name: number for number, name in enumerate(names)}
    if target.level == "token":
        return [_item(target, item, ids) for item in value]
    return _item(target, value, ids)


def _item(target: type[Target], item: Any, ids: Mapping[str, int]) -> Any:
    if target.values == "labels":
        return MISSING if item is None else ids[item]
    if item is None or target.values == "numbers":
        return item
    if target.values == "sets":
        return [ids[name] for name in item]
    return {name: item.get(name, 0.0) for name in ids}
