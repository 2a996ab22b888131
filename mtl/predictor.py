"""Labels for sentences of any number and length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import torch

from mtl.data.batching import batches
from mtl.data.encoding import Encoder
from mtl.data.windows import Window, windows
from mtl.model import MultiTaskModel
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme, convert

Prediction = dict[str, Labels]
"""Task to the labels of one sentence."""


class Predictor:
    """Runs a model over sentences: all tasks in one pass, short and long ones together.

    Args:
        model: The model.
        encoder: Numbers words and labels as in training.
        schemes: Task to the scheme that its span tags are given in; None leaves tags as learnt.
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: How many tokens neighbouring windows share.
        max_tokens: The most tokens in a batch, padding counted.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        encoder: Encoder,
        *,
        schemes: Mapping[str, Scheme | None],
        max_length: int,
        overlap: int,
        max_tokens: int = 8192,
    ) -> None:
        self.model = model
        self.encoder = encoder
        self.schemes = dict(schemes)
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens

    def stream(
        self, examples: Iterable[Example], tasks: Sequence[str], *, chunk: int = 2048
    ) -> Iterator[tuple[Example, Prediction]]:
        """Yield each sentence with its labels, in order; reads `chunk` sentences ahead."""
        rest = iter(examples)
        while taken := list(islice(rest, chunk)):
            yield from zip(taken, self.predict(taken, tasks), strict=True)

    @torch.inference_mode()
    def predict(self, examples: Sequence[Example], tasks: Sequence[str]) -> list[Prediction]:
        """Return the labels of each sentence, in the order given.

        Sentence labels of a long document are those with the highest mean log-probability over
        its windows.
        """
        training = self.model.training
        self.model.eval()
        try:
            return self._predict(examples, tasks)
        finally:
            self.model.train(training)

    def _predict(self, examples: Sequence[Example], tasks: Sequence[str]) -> list[Prediction]:
        pieces = [
            (row, window)
            for row, example in enumerate(examples)
            for window in windows(len(example), self.max_length, self.overlap)
            if len(example)
        ]
        tags: list[dict[str, list[str]]] = [{} for _ in examples]
        sums: list[dict[str, torch.Tensor]] = [{} for _ in examples]
        lengths = [window.end - window.start for _, window in pieces]
        order = self._batches(lengths)
        found: dict[int, dict[str, list[str] | torch.Tensor]] = {}
        for indices in order:
            found.update(self._batch([pieces[i] for i in indices], examples, indices, tasks))
        for i, (row, _) in enumerate(pieces):  # windows of a sentence come in order
            for task, labels in found[i].items():
                if isinstance(labels, torch.Tensor):
                    sums[row][task] = sums[row].get(task, 0) + labels
                else:
                    tags[row].setdefault(task, []).extend(labels)
        return [self._finish(t, s, tasks) for t, s in zip(tags, sums, strict=True)]

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        if not lengths:
            return []
        cut = batches(
            lengths, seed=0, corpus="", epoch=0, max_tokens=self.max_tokens, shuffle=False
        )
        return [indices.tolist() for indices in cut]

    def _batch(
        self,
        pieces: Sequence[tuple[int, Window]],
        examples: Sequence[Example],
        indices: Sequence[int],
        tasks: Sequence[str],
    ) -> dict[int, dict[str, list[str] | torch.Tensor]]:
        """Return what each task says of each piece: tags of the kept part, or log-probabilities."""
        texts = [Example(examples[row].tokens[w.start : w.end]) for row, w in pieces]
        device = next(self.model.parameters()).device
        batch = self.encoder.batch(texts).to(device)
        hidden, _ = self.model.encode(batch, tasks)
        found: dict[int, dict[str, list[str] | torch.Tensor]] = {i: {} for i in indices}
        for task in tasks:
            head = self.model.head(task)
            if head.level == "sentence":
                scores = head.log_probs(hidden[task], batch.mask).cpu()
                for i, row_scores in zip(indices, scores, strict=True):
                    found[i][task] = row_scores
                continue
            names = head.labels
            ids = head.decode(hidden[task], batch.mask).tolist()
            for i, (_, w), row in zip(indices, pieces, ids, strict=True):
                kept = row[w.keep_start - w.start : w.keep_end - w.start]
                found[i][task] = [names[label] for label in kept]
        return found

    def _finish(
        self,
        tags: Mapping[str, list[str]],
        sums: Mapping[str, torch.Tensor],
        tasks: Sequence[str],
    ) -> Prediction:
        prediction: Prediction = {}
        for task in tasks:
            head = self.model.head(task)
            if head.level == "sentence":
                # A text without tokens has the label that the empty sum makes first.
                best = int(sums[task].argmax()) if task in sums else 0
                prediction[task] = head.labels[best]
            else:
                scheme = self.schemes.get(task)
                sequence = tags.get(task, [])
                prediction[task] = tuple(convert(sequence, scheme) if scheme else sequence)
        return prediction
