"""Networks of the runtime whose programs are models in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.embeddings.base import of_words
from mtl.heads import Classifier, CRFTagger, Head, Tagger
from mtl.inference.merging import padding_states
from mtl.inference.predictor import Predictor
from mtl.targets import LabelSet, Number, Target

Arrays = dict[str, NDArray[Any]]


class Network:
    """A network as a file holds it, made from a predictor in torch.

    Args:
        predictor: The predictor.
        units: Task to its unit of text; by default sentences for taggers, else records.
        derived: The tasks whose labels are derived from the text.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        units: Mapping[str, str] | None = None,
        derived: Sequence[str] = (),
    ) -> None:
        self.tensors: Arrays = {}
        self.words = WordProgram(predictor)
        self.sentences = SentenceProgram(predictor)
        vocabularies = [
            {"feature": name, "width": own.width, "data": own.to_json()}
            for name, own in predictor.batcher.vocabularies.items()
        ]
        self.meta: dict[str, Any] = {
            "format": "mtl-bundle",
            "version": 1,
            "vocabularies": vocabularies,
            "features": [*predictor.batcher.vocabularies, "types"],
            "tables": ["vectors"],
            "max_length": predictor.max_length,
            "overlap": predictor.overlap,
            "max_tokens": predictor.max_tokens,
            "min_tokens": 1,
            "tasks": {},
        }
        for task, target in predictor.batcher.targets.items():
            own = self._task(predictor, task, predictor.model.head(task), target)
            own["derived"] = task in derived
            own["unit"] = (units or {}).get(task, own["unit"])
            self.meta["tasks"][task] = own

    def _task(self, predictor: Predictor, task: str, head: Head, target: Target) -> dict[str, Any]:
        scheme = predictor.schemes.get(task)
        objective = getattr(head, "objective", None)
        form = {"sets": "set", "numbers": "number", "distributions": "distribution"}
        decode: dict[str, Any] = {"kind": "argmax"}
        if isinstance(head, Tagger) and (steps := head.steps()):
            decode["kind"] = "viterbi"
            for name, own in zip(("transitions", "start", "end"), steps, strict=True):
                decode[name] = self._keep(f"{task}.{name}", own)
        softmax = "sigmoid" if isinstance(objective, LabelSet) else "softmax"
        marginals = isinstance(head, CRFTagger)
        padding = None
        if target.level == "sentence":
            states = padding_states(head, next(predictor.model.parameters()))
            with torch.no_grad():
                logits = head.evidence(states, states[..., 0] > 0)[0]
            padding = self._keep(f"{task}.padding", logits)
        thresholds = None
        if isinstance(objective, LabelSet):
            thresholds = self._keep(f"{task}.thresholds", objective.thresholds)
        return {
            "level": target.level,
            "form": form.get(target.values, "label"),
            "labels": list(head.labels),
            "scheme": scheme,
            "pairs": isinstance(head, Classifier) and head.comparison is not None,
            "unit": "sentence" if target.level == "token" else "record",
            "decode": decode,
            "confidence": "marginals" if marginals else softmax,
            "temperature": predictor.temperature(task).labels,
            "span_temperature": predictor.temperature(task).spans,
            "thresholds": thresholds,
            "scale": [objective.mean, objective.scale] if isinstance(objective, Number) else None,
            "padding": padding,
        }

    def _keep(self, name: str, tensor: Tensor) -> str:
        self.tensors[name] = tensor.detach().float().numpy()
        return name


class WordProgram:
    """The vectors of words."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.calls = 0

    @torch.inference_mode()
    def run(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        assert list(outputs) == ["vectors"]
        self.calls += 1
        features = {name: torch.from_numpy(own) for name, own in inputs.items() if name != "mask"}
        embedded = self.predictor.model.embedding(features, torch.from_numpy(inputs["mask"]))
        return {"vectors": embedded.vectors.numpy()}


class SentenceProgram:
    """The scores of tasks."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @torch.inference_mode()
    def run(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        assert inputs["ids"].dtype == np.int64
        assert inputs["mask"].dtype == np.bool_
        assert not inputs["ids"][~inputs["mask"]].any()
        mask = torch.from_numpy(inputs["mask"])
        vectors = torch.from_numpy(inputs["vectors"])[torch.from_numpy(inputs["ids"])]
        model = self.predictor.model
        hidden = model.encode_vectors(of_words(vectors, mask), outputs).hidden
        found = {}
        for task, states in hidden.items():
            head = model.head(task)
            read = head.scores if isinstance(head, Tagger) else head.evidence
            found[task] = read(states, mask).numpy()
        return found
