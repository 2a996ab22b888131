"""Export of a model as one file that `mtl-runtime` reads, without torch.

The file has the format of safetensors. Its metadata contain vocabularies, tasks and two programs:
from the features of words to the rows of tables, and from rows to the scores of all tasks. A
SHA-256 checksum covers every byte of the file.

Letters: B sentences, T tokens, U words, D width of vectors, N width of products.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mtl.data.encoding import Batcher
from mtl.embeddings.base import of_words
from mtl.errors import MtlError
from mtl.export.graph import to_graph
from mtl.export.layers import with_whole_layers
from mtl.export.program import SAMPLE, read_features, refuse_factored, refuse_stepwise
from mtl.export.rounding import Weights, large_weights, rounded, rounded_weights
from mtl.files import atomic_write
from mtl.heads import Classifier, CRFTagger, Head, Tagger
from mtl.inference.merging import padding_states
from mtl.inference.predictor import Predictor
from mtl.layers.lookup import look_up
from mtl.model import MultiTaskModel
from mtl.targets import LabelSet, Number, Target
from mtl.targets.soft import SoftLabel
from mtl.text.example import Example
from mtl.trunks.directional import DirectionalTrunk
from mtl.trunks.transformer import TransformerTrunk
from mtl.version import __version__

VERSION, ROUNDED_VERSION = 1, 2
"""The versions of the format: all weights in float32; large weights in fewer bits. A runtime reads
the versions that it knows."""
_FORMS: Mapping[Any, str] = {LabelSet: "set", Number: "number", SoftLabel: "distribution"}

_LEAST_TOKENS = (2, 8, 32)
"""Tokens per row that a program needs at least; the first number that suffices is used."""
_TYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int8": "I8",
    "int64": "I64",
    "bool": "BOOL",
}
"""Types of numpy by their names in safetensors."""


class TaskForm(NamedTuple):
    """The properties of a task that follow from its run.

    Args:
        unit: The unit of text that the task reads.
        pairs: Whether it compares two sentences.
        derived: Whether its labels are derived from the text, so that it is not asked by default.
    """

    unit: str
    pairs: bool
    derived: bool


def export_bundle(
    predictor: Predictor,
    tasks: Mapping[str, TaskForm],
    path: Path,
    weights: Weights = "float32",
) -> int:
    """Write a model with some of its tasks as one file.

    Args:
        predictor: The predictor of the trained model.
        tasks: The tasks, which have taggers or classifiers as heads.
        path: The file.
        weights: The type of large weights; see `mtl.export.rounding.large_weights`.

    Returns:
        The number of bytes that the file has with all weights in float32.

    Raises:
        MtlError: A part cannot be exported, or the file cannot be written.
    """
    tensors, meta, model = _parts(predictor, tasks, weights)
    content = pack(tensors, meta)
    whole = len(content)
    if weights != "float32":
        _round(tensors, meta, model, weights)
        content = pack(tensors, meta)
    with atomic_write(path, "wb") as file:
        file.write(content)
    return whole


def _parts(
    predictor: Predictor, tasks: Mapping[str, TaskForm], weights: Weights
) -> tuple[dict[str, Tensor], dict[str, Any], MultiTaskModel]:
    """Return the tensors and the metadata of a file, and the model that they come from.

    The tensors are in float32. The logits of empty texts come from the weights of the file.
    """
    model, batcher = predictor.model, predictor.batcher
    refuse_factored(model)
    if model.embedding.contextual:
        raise MtlError(
            "the embedding reads the whole sentence, as transformers and gazetteers do, but a "
            "bundle has one row per word; export a model with another embedding"
        )
    if any(isinstance(module, TransformerTrunk) for module in model.modules()):
        raise MtlError(
            "trunk: a transformer cannot be exported as a bundle; export a model with another trunk"
        )
    refuse_stepwise(model)
    for task in tasks:
        if model.head(task).reads_words:
            raise MtlError(
                f"task {task!r}: its head has a bag of word n-grams, but a bundle has one row per "
                "word; export a model trained with ngrams=0"
            )
        if not isinstance(model.head(task), (Tagger, Classifier)):
            kind = type(model.head(task)).__name__
            raise MtlError(f"task {task!r}: expected a tagger or a classifier, got {kind}")
    layers = _layers_with_products(model, list(tasks))
    copied = _exportable(model, list(tasks), layers)
    features = read_features(batcher)
    names = ["vectors", *(f"products.{number}" for number in range(len(layers)))]
    words, constants = to_graph(
        _export_words(copied, batcher, features, layers), [*features, "mask"], names
    )
    program, min_tokens = _export_sentences(copied, list(tasks), layers)
    sentences, more = to_graph(program, ["ids", "mask", *names], list(tasks))
    tables = [name for name in names if name in sentences["inputs"]]
    words["outputs"] = {name: words["outputs"][name] for name in tables}
    tensors = {**constants, **more}
    with rounded_weights(model, weights):
        entries = {task: _task(predictor, task, form, tensors) for task, form in tasks.items()}
    meta = {
        "format": "mtl-bundle",
        "version": VERSION,
        "mtl": __version__,
        "vocabularies": [
            {"feature": name, "width": vocabulary.width, "data": vocabulary.to_json()}
            for name, vocabulary in batcher.vocabularies.items()
            if name in features
        ],
        "features": features,
        "tables": tables,
        "max_length": predictor.max_length,
        "overlap": predictor.overlap,
        "max_tokens": predictor.max_tokens,
        "min_tokens": min_tokens,
        "tasks": entries,
        "words": words,
        "sentences": sentences,
    }
    return tensors, meta, copied


def _round(
    tensors: dict[str, Tensor], meta: dict[str, Any], model: MultiTaskModel, weights: Weights
) -> None:
    """Replace the large weights among the tensors; `scales` in the metadata has their scales."""
    scales: dict[str, str] = {}
    numbers: dict[str, Tensor] = {}
    for own, weight, dims in large_weights(model):
        if (name := f"model.{own}") in tensors:
            found = rounded(weight, dims, weights)
            del tensors[name]
            numbers[name] = found.numbers
            if found.scales is not None:
                scales[name] = f"{name}.scale"
                tensors[scales[name]] = found.scales
    if numbers:
        meta |= {"version": ROUNDED_VERSION, "scales": scales}
        tensors |= numbers  # after all others, whose addresses stay multiples of their sizes


# ---- tracing


class _Recorded:
    """A table that notes which layers ask for products; see `mtl.layers.lookup.Words`."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.makers: dict[nn.Module, Callable[[Tensor], Tensor]] = {}

    def products(self, layer: nn.Module, make: Callable[[Tensor], Tensor]) -> Tensor:
        self.makers[layer] = make
        return make(self.vectors)

    def prepared(self, layer: nn.Module, make: Callable[[], Any]) -> Any:
        return make()


class _Given(_Recorded):
    """A table whose products are inputs of the program."""

    def __init__(self, tables: Sequence[Tensor], layers: Sequence[nn.Module]) -> None:
        super().__init__(tables[0])
        self._products = dict(zip(layers, tables[1:], strict=True))

    def products(self, layer: nn.Module, make: Callable[[Tensor], Tensor]) -> Tensor:
        return self._products[layer]


def _rows(
    model: MultiTaskModel, tasks: Sequence[str], words: Any, ids: Tensor, mask: Tensor
) -> Any:
    return model.encode_vectors(of_words(look_up(words, ids), mask), tasks).hidden


@torch.no_grad()
def _layers_with_products(model: MultiTaskModel, tasks: Sequence[str]) -> list[str]:
    """Return the names of the trunks whose first layers read products of words."""
    recorded = _Recorded(torch.zeros(3, model.embedding.size))
    ids = torch.tensor([[1, 2], [2, 1]])
    _rows(model, tasks, recorded, ids, ids > 0)
    return [name for name, module in model.named_modules() if module in recorded.makers]


def _exportable(
    model: MultiTaskModel, tasks: Sequence[str], layers: Sequence[str]
) -> MultiTaskModel:
    """Return a copy that torch can export, with the heads of the tasks alone."""
    copied = deepcopy(model).cpu().eval()
    kept = {name: deepcopy(_trunk(copied, name).layers[0]) for name in layers}
    copied = with_whole_layers(copied)
    for name, layer in kept.items():
        _trunk(copied, name).layers[0] = layer
    used = {copied.head_of[task] for task in (*tasks, *copied.label_vectors)}
    copied.heads = nn.ModuleDict(
        {name: head for name, head in copied.heads.items() if name in used}
    )
    return copied


def _trunk(model: MultiTaskModel, name: str) -> DirectionalTrunk:
    trunk = model.get_submodule(name)
    assert isinstance(trunk, DirectionalTrunk)
    return trunk


class _WordProgram(nn.Module):
    def __init__(self, model: MultiTaskModel, features: Sequence[str], layers: Sequence[str]):
        super().__init__()
        self.model, self.features, self.layers = model, features, layers

    def forward(self, arrays: Sequence[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
        """Return the vectors `[U, D]` and the products `[U, N]` of words."""
        features = dict(zip(self.features, arrays, strict=True))
        vectors = self.model.embedding(features, mask).vectors[0]
        trunks = [_trunk(self.model, name) for name in self.layers]
        return vectors, *(trunk.word_products(vectors) for trunk in trunks)


class _SentenceProgram(nn.Module):
    def __init__(self, model: MultiTaskModel, tasks: Sequence[str], layers: Sequence[str]):
        super().__init__()
        self.model, self.tasks, self.layers = model, tasks, layers

    def forward(self, ids: Tensor, mask: Tensor, tables: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the scores of each task: `[B, T, K]`, or `[B, S]` for one value per sentence."""
        trunks = [_trunk(self.model, name) for name in self.layers]
        hidden = _rows(self.model, self.tasks, _Given(tables, trunks), ids, mask)
        return tuple(self._scores(self.model.head(task), hidden[task], mask) for task in self.tasks)

    def _scores(self, head: Head, hidden: Tensor, mask: Tensor) -> Tensor:
        return (
            head.scores(hidden, mask) if isinstance(head, Tagger) else head.evidence(hidden, mask)
        )


def _export_words(
    model: MultiTaskModel, batcher: Batcher, features: Sequence[str], layers: Sequence[str]
) -> ExportedProgram:
    # A repeated word makes the numbers of tokens and of words differ; torch takes equal numbers for
    # one dimension.
    words = " ".join(SAMPLE).split()
    batch = batcher.batch([Example((*words, *words[:2]))])
    tokens, types = Dim("T"), Dim("U")
    shapes: list[dict[int, Any]] = []
    for name in features:
        width = batcher.vocabularies[name].width if name in batcher.vocabularies else 1
        of_types = {0: types} if width else {0: types, 1: Dim(name)}
        shapes.append({1: tokens} if width == 1 else of_types)
    arguments = [batch.features[name] for name in features], batch.mask
    return _exported(_WordProgram(model, features, layers), arguments, (shapes, {1: tokens}))


def _export_sentences(
    model: MultiTaskModel, tasks: Sequence[str], layers: Sequence[str]
) -> tuple[ExportedProgram, int]:
    """Return the program, and the least number of tokens of its batches, padding included."""
    with torch.no_grad():
        vectors = torch.randn(11, model.embedding.size)
        tables = [vectors, *(_trunk(model, name).word_products(vectors) for name in layers)]
    pairs = any(isinstance(model.head(t), Classifier) and model.head(t).comparison for t in tasks)
    # Pairs have an even number of rows.
    rows = 2 * Dim("B") if pairs else Dim("B")

    def exported(least: int) -> tuple[ExportedProgram, int]:
        ids = torch.randint(1, 11, (6, least + 3))
        tokens = {0: rows, 1: Dim("T", min=least)}
        shapes = (tokens, tokens, [{0: Dim("U")} for _ in tables])
        module = _SentenceProgram(model, tasks, layers)
        return _exported(module, (ids, ids > 0, tables), shapes), least

    # Attention to a window of tokens needs as many, and torch cannot say it in advance.
    *smaller, largest = _LEAST_TOKENS
    for least in smaller:
        with suppress(MtlError):
            return exported(least)
    return exported(largest)


def _exported(module: nn.Module, arguments: tuple[Any, ...], shapes: Any) -> ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(
                module.eval(), arguments, dynamic_shapes=shapes, strict=False
            )
    except Exception as error:  # torch reports failed exports by exceptions of many types
        reason = str(error).strip().splitlines()[0]
        raise MtlError(f"the model cannot be exported: {reason}") from error


# ---- tasks


@torch.no_grad()
def _task(
    predictor: Predictor, task: str, form: TaskForm, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """Return the entry of a task, and add its tensors."""
    head = predictor.model.head(task)
    assert isinstance(head, (Tagger, Classifier))
    target, objective = predictor.batcher.targets[task], head.objective

    def stored(name: str, value: Tensor) -> str:
        tensors[f"{task}/{name}"] = value.detach().cpu().contiguous()
        return f"{task}/{name}"

    decode: dict[str, Any] = {"kind": "argmax"}
    if isinstance(head, Tagger) and (steps := head.steps()) is not None:
        names = ("transitions", "start", "end")
        stores = {name: stored(name, scores) for name, scores in zip(names, steps, strict=True)}
        decode = {"kind": "viterbi", **stores}
    padding = padding_states(head, next(head.parameters()))
    entry = {
        "level": head.level,
        "form": _FORMS.get(type(objective), "label"),
        "labels": list(head.labels),
        "scheme": predictor.schemes.get(task),
        **form._asdict(),
        "decode": decode,
        "confidence": _confidence(head, target),
        "temperature": predictor.temperature(task).labels,
        "span_temperature": predictor.temperature(task).spans,
        "thresholds": None,
        "scale": None,
        "padding": None,
    }
    if isinstance(objective, LabelSet):
        entry["thresholds"] = stored("thresholds", objective.thresholds)
    if isinstance(objective, Number):
        entry["scale"] = [objective.mean, objective.scale]
    if isinstance(head, Classifier):
        entry["padding"] = stored("padding", head.evidence(padding, padding[..., 0] > 0)[0])
    return entry


def _confidence(head: Head, target: Target) -> str:
    if target.values == "sets":
        return "sigmoid"
    if target.values != "labels":
        return "none"
    return "marginals" if isinstance(head, CRFTagger) else "softmax"


# ---- the file


def pack(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """Return tensors and metadata in the format of safetensors, with a checksum.

    The checksum is the SHA-256 of the file in which the checksum itself is 64 zeros. The library
    safetensors writes metadata in random order; here, equal models make equal files.
    """
    header: dict[str, Any] = {
        "__metadata__": {
            "sha256": "0" * 64,
            "mtl": json.dumps(meta, ensure_ascii=False, separators=(",", ":")),
        }
    }
    parts, end = [], 0
    for name, tensor in tensors.items():
        array = tensor.detach().cpu().contiguous().numpy()
        parts.append(array.tobytes())
        offsets = [end, end := end + array.nbytes]
        kind, shape = _TYPES[str(array.dtype)], list(array.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64 + 56)  # arrays begin at multiples of 64 bytes
    content = b"".join([struct.pack("<Q", len(text)), text, *parts])
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + digest, 1)
