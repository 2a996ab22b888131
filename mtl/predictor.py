"""Labels for sentences of any number and length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mtl.data.batching import batches
from mtl.data.encoding import Encoder, number, pad
from mtl.data.windows import Window, windows
from mtl.embeddings import TransformerEmbedding
from mtl.model import MultiTaskModel
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme, convert

Prediction = dict[str, Labels]
"""Task to the labels of one sentence."""
Piece = tuple[int, Window]
"""Row and window of an example."""
Encode = Callable[[Sequence[Piece]], tuple[Mapping[str, Tensor], Tensor]]


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
        max_tokens: int = 1024,
    ) -> None:
        self.model = model
        self.encoder = encoder
        self.schemes = dict(schemes)
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens

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
        sums: list[dict[str, Tensor]] = [{} for _ in examples]
        subwords = isinstance(self.model.embedding, TransformerEmbedding)
        encode = (self._subwords if subwords else self._words)(examples, tasks)
        found: dict[int, dict[str, list[str] | Tensor]] = {}
        for indices in self._batches([window.end - window.start for _, window in pieces]):
            own = [pieces[i] for i in indices]
            each = self._labels(*encode(own), [window for _, window in own])
            found.update(zip(indices, each, strict=True))
        for i, (row, _) in enumerate(pieces):  # windows of a sentence come in order
            for task, labels in found[i].items():
                if isinstance(labels, Tensor):
                    sums[row][task] = sums[row].get(task, 0) + labels
                else:
                    tags[row].setdefault(task, []).extend(labels)
        return [self._finish(t, s, tasks) for t, s in zip(tags, sums, strict=True)]

    def _words(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return what encodes pieces of examples whose words are embedded here, once and for all.

        What it gives is what the head of each task reads, `[B, T, H]`, and the mask `[B, T]`.
        """
        words: dict[str, int] = {}
        numbers = [np.array(number(example.tokens, words)) for example in examples]
        vectors = self._vectors(list(words))

        def encode(pieces: Sequence[Piece]) -> tuple[Mapping[str, Tensor], Tensor]:
            texts = [numbers[row][window.start : window.end] for row, window in pieces]
            padded, real = pad([len(text) for text in texts], np.concatenate(texts))
            mask = torch.from_numpy(real).to(vectors.device)
            x = functional.embedding(torch.from_numpy(padded).to(vectors.device), vectors)
            return self.model.encode_vectors(x, mask, tasks).hidden, mask

        return encode

    def _subwords(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return what `_words` does, for a model that embeds the subwords of whole sentences."""
        device = next(self.model.parameters()).device

        def encode(pieces: Sequence[Piece]) -> tuple[Mapping[str, Tensor], Tensor]:
            texts = [examples[row].tokens[window.start : window.end] for row, window in pieces]
            batch = self.encoder.batch([Example(text) for text in texts]).to(device)
            return self.model.encode(batch, tasks).hidden, batch.mask

        return encode

    def _vectors(self, words: Sequence[str]) -> Tensor:
        """Return the vector of each word, `[1 + U, D]`, after a row of zeros for padding.

        Made once a word, however often it occurs, and words of like length together.
        """
        width = self.model.sharing.sizes[0]
        vectors = next(self.model.parameters()).new_zeros(1 + len(words), width)
        order = sorted(range(len(words)), key=lambda i: len(words[i]))
        for start in range(0, len(words), self.max_tokens):
            rows = order[start : start + self.max_tokens]
            batch = self.encoder.batch([Example(tuple(words[i] for i in rows))])
            batch = batch.to(vectors.device)
            vectors[1 + torch.tensor(rows)] = self.model.embedding(batch.features, batch.mask)[0]
        return vectors

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        if not lengths:
            return []
        cut = batches(
            lengths, seed=0, corpus="", epoch=0, max_tokens=self.max_tokens, shuffle=False
        )
        return [indices.tolist() for indices in cut]

    def _labels(
        self, hidden: Mapping[str, Tensor], mask: Tensor, kept: Sequence[Window]
    ) -> list[dict[str, list[str] | Tensor]]:
        """Return what each task says of each text: tags of the kept part, or log-probabilities.

        Args:
            hidden: What the head of each task reads, `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens.
            kept: The window that each text is.
        """
        found: list[dict[str, list[str] | Tensor]] = [{} for _ in kept]
        for task, states in hidden.items():
            head = self.model.head(task)
            if head.level == "sentence":
                for own, scores in zip(found, head.log_probs(states, mask).cpu(), strict=True):
                    own[task] = scores
                continue
            ids = head.decode(states, mask).tolist()
            for own, w, row in zip(found, kept, ids, strict=True):
                labels = row[w.keep_start - w.start : w.keep_end - w.start]
                own[task] = [head.labels[label] for label in labels]
        return found

    def _finish(
        self,
        tags: Mapping[str, list[str]],
        sums: Mapping[str, Tensor],
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
