"""A component of spaCy pipelines: `nlp.add_pipe("mtl", config={"run": "runs/news"})`.

With a bundle, it does not use torch. spaCy finds it by the entry point `spacy_factories` of this
package.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import spacy.util
import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from mtl.bridges.labelling_models import LabellingModel, open_model, write
from mtl.errors import MtlError, did_you_mean
from mtl.files import exists, find_shipped
from mtl.inference.cutting import chunks
from mtl.inference.inputs import Sentence

if TYPE_CHECKING:
    from spacy.vocab import Vocab

    from mtl.inference.prediction import Prediction

SpacyPlace: TypeAlias = Literal["tag", "pos", "ents", "spans", "cats"]
"""The attribute of spaCy that a task sets."""

UPOS = frozenset(
    {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN"}
    | {"PUNCT", "SCONJ", "SYM", "VERB", "X"}
)
"""The values of `token.pos_`."""
_BATCH = 128


class TaskPipe:
    """Sets tags, entities and categories by a trained model.

    Args:
        vocab: The vocabulary of the pipeline.
        name: The name of the component.
        run: The run folder, the name of a model of the package, or the file of a bundle; None:
            `from_disk` or `from_bytes` follows.
        tasks: The tasks; None: all but those whose labels are derived from the text.
        assign: Task to "tag", "pos", "ents", "spans" or "cats"; see `docs/bridges.md`. Other tasks
            have a place that depends on their labels.
        device: "cpu", "cuda", …; None: a GPU if available. Bundles run on the CPU.
        trust: Whether to import modules outside mtl that the run folder names.
    """

    def __init__(
        self,
        vocab: Vocab,
        name: str,
        *,
        run: str | None,
        tasks: Sequence[str] | None,
        assign: Mapping[str, SpacyPlace],
        device: str | None,
        trust: bool,
    ) -> None:
        self.vocab = vocab
        self.name = name
        self.run = run
        self.device = device
        self.trust = trust
        self._tasks = tasks
        self._assign = dict(assign)
        self._model: LabellingModel | None = None
        # When a saved pipeline is loaded, the folder of the run need not exist any more.
        if run is not None and exists(found := find_shipped(Path(run), "pretrained")):
            self._set(open_model(found, device=device, trust=trust))

    @property
    def trained_model(self) -> LabellingModel:
        """The trained model.

        The name is not `model`: spaCy reads that attribute of each component while a pipeline is
        built, and expects a model of Thinc.

        Raises:
            MtlError: No run folder has this name.
        """
        if self._model is None:
            if self.run is None:
                raise MtlError(f'{self.name}: expected a run: config={{"run": "runs/NAME"}}')
            path = find_shipped(Path(self.run), "pretrained")
            self._set(open_model(path, device=self.device, trust=self.trust))
        assert self._model is not None
        return self._model

    @property
    def places(self) -> dict[str, SpacyPlace]:
        """Task to the attribute that it sets."""
        return places(self.trained_model, self._tasks, self._assign)

    def _set(self, model: LabellingModel) -> None:
        places(model, self._tasks, self._assign)  # errors come before the first document
        self._model = model

    # ---- documents

    def __call__(self, doc: Doc) -> Doc:
        """Label a document, and return it."""
        return next(self._label([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = _BATCH) -> Iterator[Doc]:
        """Label a stream of documents, `batch_size` at a time."""
        for docs in chunks(stream, batch_size):
            yield from self._label(docs)

    def _label(self, docs: Sequence[Doc]) -> Iterator[Doc]:
        model, chosen = self.trained_model, self.places
        words = [[token.i for token in doc if not token.is_space] for doc in docs]
        texts = [_sentence(doc, own) for doc, own in zip(docs, words, strict=True)]
        predictions = model.label(texts, list(chosen))
        several = sum(place == "cats" for place in chosen.values()) > 1
        for doc, own, prediction in zip(docs, words, predictions, strict=True):
            for task, place in chosen.items():
                if place == "cats":
                    scores = _categories(model, prediction, task)
                    doc.cats.update(
                        {f"{task}:{n}" if several else n: score for n, score in scores.items()}
                    )
                elif place in ("ents", "spans"):
                    _set_spans(doc, own, prediction, task, entities=place == "ents")
                else:
                    for index, label in zip(own, prediction.labels[task], strict=True):
                        setattr(doc[index], f"{place}_", label)
            yield doc

    # ---- saving

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Copy the files of the model into a folder."""
        write(spacy.util.ensure_path(path), self.trained_model.files())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> TaskPipe:
        """Load the model from a folder that `to_disk` wrote."""
        self._set(open_model(Path(path), device=self.device, trust=self.trust))
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the files of the model."""
        content: bytes = srsly.msgpack_dumps(self.trained_model.files())
        return content

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> TaskPipe:
        """Load the model from the result of `to_bytes`, by a temporary folder."""
        folder = Path(tempfile.mkdtemp(prefix="mtl-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            files = srsly.msgpack_loads(data)
        except Exception as error:  # its exceptions have no common base
            raise MtlError(f"{self.name}: not the result of to_bytes: {error}") from error
        write(folder, files)
        return self.from_disk(folder)


def places(
    model: LabellingModel, tasks: Sequence[str] | None, assign: Mapping[str, SpacyPlace]
) -> dict[str, SpacyPlace]:
    """Return task to the attribute of spaCy that it sets.

    Raises:
        MtlError: spaCy has no place for the labels of a task, or two tasks have the same place.
    """
    selected = model.select(tasks)
    for task, place in assign.items():
        if task not in selected:
            raise MtlError(f"assign: the pipe has no task {task!r}{did_you_mean(task, selected)}")
        if place not in get_args(SpacyPlace):
            raise MtlError(f"assign: {task}: {place!r}{did_you_mean(place, get_args(SpacyPlace))}")
    if model.compare_pairs(selected):
        raise MtlError("documents are not pairs, and the tasks compare two sentences")
    chosen: dict[str, SpacyPlace] = {}
    for task in selected:
        possible = _possible(model, task)
        if not possible:
            raise MtlError(
                f"spaCy has no place for {model.forms[task].noun} ({task}); name the other tasks: "
                'config={"tasks": […]}'
            )
        place = assign.get(task, possible[0])
        if place == "ents" and task not in assign and "ents" in {**chosen, **assign}.values():
            place = "spans"  # the first task with spans has the entities
        if place not in possible:
            raise MtlError(f"assign: {task}: expected {' or '.join(possible)}, got {place!r}")
        if place in ("tag", "pos", "ents") and place in chosen.values():
            raise MtlError(
                f"{task}: another task sets {place} already; choose another place, or leave one "
                'of the tasks out: config={"tasks": […], "assign": {…}}'
            )
        chosen[task] = place
    return chosen


def _possible(model: LabellingModel, task: str) -> list[SpacyPlace]:
    """Return the places of a task, the default first; empty for none."""
    form = model.forms[task]
    if form.level == "sentence":
        return ["cats"]
    if form.has_spans:
        return ["ents", "spans"]
    if form.values != "labels":
        return []
    return ["pos", "tag"] if UPOS.issuperset(form.labels) else ["tag"]


def _sentence(doc: Doc, words: Sequence[int]) -> Sentence:
    """Return the words of a document, in the sentences of spaCy if it has any."""
    tokens = [doc[index].text for index in words]
    firsts = [0]
    if doc.has_annotation("SENT_START"):
        starts = {sentence.start for sentence in doc.sents}
        # White space may begin a sentence, so a word begins it if a start is not after it.
        before = -1
        firsts = []
        for position, index in enumerate(words):
            if any(start in starts for start in range(before + 1, index + 1)):
                firsts.append(position)
            before = index
    return Sentence.from_tokens(tokens, doc.text, tuple(pairwise([*firsts, len(tokens)])))


def _categories(model: LabellingModel, prediction: Prediction, task: str) -> dict[str, float]:
    """Return the probability of each label of a document, or its number by the name of the task."""
    if prediction.is_blank:
        return {}
    if model.forms[task].values == "numbers":
        return {task: float(prediction[task].labels)}  # type: ignore[arg-type]
    return model.probabilities(prediction, task)


def _set_spans(
    doc: Doc, words: Sequence[int], prediction: Prediction, task: str, *, entities: bool
) -> None:
    found = prediction.spans[task]
    spans = [
        Span(doc, words[first], words[end - 1] + 1, label=span.type)
        for span in found
        for first, end in [span.tokens]
    ]
    scores = np.array([span.confidence for span in found], dtype=np.float32)
    doc.spans[task] = SpanGroup(doc, name=task, spans=spans, attrs={"scores": scores})
    if entities:
        doc.set_ents(spans, default="outside")


@Language.factory(
    "mtl",
    assigns=["doc.ents", "doc.spans", "doc.cats", "token.tag", "token.pos"],
    default_config={
        "run": None,
        "tasks": None,
        "assign": {},
        "device": None,
        "trust": False,
    },
)
def make_pipe(
    nlp: Language,
    name: str,
    run: str | None,
    tasks: list[str] | None,
    assign: dict[str, str],
    device: str | None,
    trust: bool,
) -> Any:
    """Return the component; see `TaskPipe`."""
    return TaskPipe(
        nlp.vocab,
        name,
        run=run,
        tasks=tasks,
        assign=assign,  # type: ignore[arg-type]  # `places` checks it
        device=device,
        trust=trust,
    )
