"""The output of `mtl predict --explain` for weights of words: text, JSONL and a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mtl.cli.predict_input import form_of

if TYPE_CHECKING:
    from mtl.display.labelling import LabellingProgress
    from mtl.inference.explanation import Attribution, Explanation

FORMS = ("text", "jsonl", "html")
"""The formats; `auto` is text at a terminal, and depends on the suffix of an output file."""
LARGEST = 5
"""Words whose weights are listed below a shaded sentence."""
TOLERATED = 0.01
"""The share of the difference of scores above which the gap of integrated gradients is shown."""
METHODS = {
    "integrated": "Integrated gradients: the weights add up to the score less the score without "
    "words.",
    "gradient": "Gradient × input: the rate at which the score changes with the size of a word "
    "vector.",
    "occlusion": "Occlusion: the score less the score without the word.",
}


def chosen_form(wanted: str, output: Path | None) -> str:
    """Return the format of the output.

    Raises:
        typer.BadParameter: Weights of words cannot be written so.
    """
    form = wanted
    if wanted == "auto":
        form = "text"
        if output is not None:
            suffix = form_of(output)
            form = "jsonl" if suffix == "text" else suffix
    if form not in FORMS:
        message = f"{form} has no weights of words; expected {', '.join(FORMS)}"
        raise typer.BadParameter(message, param_hint="--format")
    return form


def write_explanations(
    explanations: Iterable[Explanation],
    form: str,
    output: Path | None,
    title: str,
    progress: LabellingProgress,
) -> None:
    """Write explanations as a stream.

    Args:
        explanations: The explanations.
        form: "text", "jsonl" or "html".
        output: The file; None: standard output.
        title: The title of a page.
        progress: Counts the sentences.
    """
    from mtl.files import atomic_text

    def counted() -> Iterator[Explanation]:
        for own in explanations:
            yield own
            progress.add(1, len(own.prediction.sentence.example), progress.position)

    writer = {"text": _texts, "jsonl": _records}.get(form)
    rows = writer(counted()) if writer else iter([_page(list(counted()), title)])
    with progress:
        if output is None:
            for row in rows:
                sys.stdout.write(row)
                sys.stdout.flush()  # explanations take time, so each one is shown at once
        else:
            with atomic_text(output) as out:
                out.writelines(rows)


def _records(explanations: Iterator[Explanation]) -> Iterator[str]:
    from mtl.inference.prediction import new_names

    renamed: dict[str, str] | None = None
    for own in explanations:
        if renamed is None:
            renamed = new_names(own.own_fields(), own.prediction.sentence.fields or {})
            for name, new in renamed.items():
                note = f"note: the input has a field {name!r}; the prediction is in {new!r}"
                print(note, file=sys.stderr)
        yield json.dumps(own.to_dict(renamed), ensure_ascii=False) + "\n"


def _texts(explanations: Iterator[Explanation]) -> Iterator[str]:
    from mtl.cli.shading import signed
    from mtl.cli.tables import plain_console

    console = plain_console()
    for own in explanations:
        with console.capture() as captured:
            for task, attributions in own.by_task.items():
                if not attributions:
                    console.print(f"{task}: {_nothing(own, task)}", soft_wrap=True)
                for attribution in attributions:
                    console.print(f"{task}: {headline(own, attribution)}", soft_wrap=True)
                    for tokens, weights in _sides(own, attribution):
                        console.print(signed(tokens, weights), soft_wrap=True)
                        console.print(f"    {_listed(tokens, weights)}", soft_wrap=True)
            console.print()
        yield captured.get()


def headline(explanation: Explanation, attribution: Attribution) -> str:
    """Return an answer with its words and its score on one line."""
    from mtl.cli.formats import one_line

    if isinstance(attribution.answer, float):
        text = f"{attribution.answer:.6g}"
    else:
        text = f"{attribution.answer} (log-odds {attribution.score:.2f})"
    if attribution.tokens is not None:
        words = explanation.prediction.tokens[slice(*attribution.tokens)]
        text = f"{one_line(' '.join(words))} = {text}"
    if attribution.gap is not None and attribution.baseline is not None:
        difference = abs(attribution.score - attribution.baseline)
        if abs(attribution.gap) > TOLERATED * difference:
            gap = f"the weights differ from their exact sum by {attribution.gap:.2g}"
            text += f"; {gap}; use more --steps"
    return text


def _nothing(explanation: Explanation, task: str) -> str:
    """Return the text for a task without answers to explain."""
    prediction = explanation.prediction
    if prediction.is_blank:
        return "no words"
    return "no spans" if prediction.spans.get(task) == [] else "nothing to explain"


def _sides(
    explanation: Explanation, attribution: Attribution
) -> Iterator[tuple[Sequence[str], Sequence[float]]]:
    """Yield the words and weights of a sentence, or of both sentences of a pair."""
    yield explanation.prediction.tokens, attribution.weights
    if attribution.weights_b is not None:
        yield explanation.prediction.tokens_b or (), attribution.weights_b


def _listed(tokens: Sequence[str], weights: Sequence[float]) -> str:
    """Return the words with the largest weights."""
    from mtl.cli.formats import one_line

    order = sorted(range(len(weights)), key=lambda t: -abs(weights[t]))[:LARGEST]
    return ", ".join(f"{one_line(tokens[t])} {weights[t]:+.2f}" for t in order)


def _page(explanations: Sequence[Explanation], title: str) -> str:
    from mtl.pages import render
    from mtl.pages.text import shaded

    items: list[dict[str, Any]] = []
    for own in explanations:
        answers = [
            {
                "task": task,
                "headline": headline(own, attribution),
                "sides": [shaded(*side) for side in _sides(own, attribution)],
            }
            for task, attributions in own.by_task.items()
            for attribution in attributions
        ]
        missing = [f"{task}: {_nothing(own, task)}" for task, a in own.by_task.items() if not a]
        items.append({"answers": answers, "missing": missing})
    methods = {METHODS[own.method] for own in explanations}
    return render("explanations.html", title=title, method=" ".join(methods), items=items)
