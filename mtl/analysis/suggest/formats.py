"""Suggestions as JSON lines, and as files that doccano and Label Studio import."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from mtl.analysis.suggest.suggest import Suggestion
from mtl.files import new_folder
from mtl.inference.confidence import DIGITS
from mtl.inference.prediction import Prediction, new_names
from mtl.targets import Target
from mtl.text.example import of_tokens
from mtl.text.spans import read_spans


def write_suggestions(suggestions: Sequence[Suggestion], folder: Path) -> list[Path]:
    """Write a new folder with suggestions for people and for annotation tools.

    Args:
        suggestions: At least one suggestion.
        folder: The folder.

    Returns:
        The files.

    Raises:
        MtlError: The folder exists or cannot be written.
    """
    first = suggestions[0].prediction
    tasks = list(first.by_task)
    contents = {"suggestions.jsonl": _lines(_records(suggestions))}
    for task in tasks:
        rows = [_doccano(own.prediction, task) for own in suggestions]
        contents[f"doccano-{task}.jsonl"] = _lines(iter(rows))
    items = [_label_studio(own, tasks) for own in suggestions]
    contents["label-studio.json"] = json.dumps(items, ensure_ascii=False, indent=1) + "\n"
    contents["label-studio.xml"] = _interface({task: first.targets[task] for task in tasks}, first)
    with new_folder(folder) as place:
        for name, content in contents.items():
            (place / name).write_text(content, encoding="utf-8")
    return [folder / name for name in contents]


def _lines(rows: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _records(suggestions: Sequence[Suggestion]) -> Iterator[dict[str, Any]]:
    """Yield the records of suggestions; the fields of the input keep their names and values."""
    taken = {name for own in suggestions for name in own.prediction.sentence.fields or ()}
    predicted = {name for own in suggestions for name in own.prediction.own_fields()}
    renamed = new_names(predicted, taken)
    taken |= predicted | {*renamed.values()}
    index, uncertainty = _free("index", taken), _free("uncertainty", taken)
    for own in suggestions:
        values = {index: own.index, uncertainty: round(own.uncertainty, DIGITS)}
        yield values | own.prediction.to_dict(renamed)


def _free(name: str, taken: Container[str]) -> str:
    while name in taken:
        name = f"suggestion_{name}"
    return name


def _text(prediction: Prediction) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of a sentence, and the start and the end of each word in it."""
    sentence = prediction.sentence
    if sentence.text is not None and sentence.offsets:
        return sentence.text, [
            (start - sentence.start, end - sentence.start) for start, end in sentence.offsets
        ]
    ends = list(accumulate(len(token) + 1 for token in sentence.tokens))
    places = [
        (end - 1 - len(token), end - 1) for token, end in zip(sentence.tokens, ends, strict=True)
    ]
    return " ".join(sentence.tokens), places


def _marks(prediction: Prediction, task: str) -> list[tuple[int, int, str]]:
    """Return the predicted spans, or labels of words: start, end and label, in characters."""
    _, places = _text(prediction)
    tags = of_tokens(prediction[task].labels)
    if prediction.schemes.get(task):
        return [
            (places[span.start][0], places[span.end - 1][1], span.type) for span in read_spans(tags)
        ]
    return [(start, end, tag) for (start, end), tag in zip(places, tags, strict=True)]


def _choices(prediction: Prediction, task: str) -> list[str]:
    """Return the predicted label of a sentence, or the labels of its set."""
    labels = prediction[task].labels
    return [labels] if isinstance(labels, str) else sorted(labels)  # type: ignore[arg-type]


def _doccano(prediction: Prediction, task: str) -> dict[str, Any]:
    text, _ = _text(prediction)
    if prediction.targets[task].level == "token":
        return {"text": text, "label": [list(mark) for mark in _marks(prediction, task)]}
    return {"text": text, "label": _choices(prediction, task)}


def _label_studio(own: Suggestion, tasks: Sequence[str]) -> dict[str, Any]:
    text, _ = _text(own.prediction)
    result: list[dict[str, Any]] = []
    for task in tasks:
        common = {"from_name": task, "to_name": "text"}
        if own.prediction.targets[task].level == "token":
            result += [
                {
                    **common,
                    "id": f"{task}-{number}",
                    "type": "labels",
                    "value": {
                        "start": start,
                        "end": end,
                        "text": text[start:end],
                        "labels": [label],
                    },
                }
                for number, (start, end, label) in enumerate(_marks(own.prediction, task))
            ]
        else:
            value = {"choices": _choices(own.prediction, task)}
            result.append({**common, "id": task, "type": "choices", "value": value})
    score = round(1 - own.uncertainty, DIGITS)
    predictions = [{"model_version": "mtl", "score": score, "result": result}]
    return {"data": {"text": text}, "predictions": predictions}


def _interface(targets: Mapping[str, Target], first: Prediction) -> str:
    """Return the labelling interface of Label Studio that fits the predictions."""
    lines = ["<View>"]
    for task, target in targets.items():
        name = f'name={quoteattr(task)} toName="text"'
        if target.level == "token":
            tags = list(target.labels)
            if first.schemes.get(task):
                tags = sorted({span.type for tag in tags for span in read_spans([tag])})
            values = "".join(f"<Label value={quoteattr(tag)}/>" for tag in tags)
            lines.append(f"  <Labels {name}>{values}</Labels>")
        else:
            choice = "multiple" if target.values == "sets" else "single"
            values = "".join(f"<Choice value={quoteattr(label)}/>" for label in target.labels)
            lines.append(f'  <Choices {name} choice="{choice}">{values}</Choices>')
    lines += ['  <Text name="text" value="$text"/>', "</View>", ""]
    return "\n".join(lines)
