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
from mtl.heads import Classifier
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

        What a long document has as a whole follows from the means of its scores over the windows.
        """
        tags, means = self._run(examples, tasks)
        heads = {task: self.model.head(task) for task in tasks}
        named = {task: heads[task].named(heads[task].conclude(own)) for task, own in means.items()}
        return [
            {
                task: named[task][row] if task in named else self._tags(task, own.get(task, []))
                for task in tasks
            }
            for row, own in enumerate(tags)
        ]

    @torch.inference_mode()
    def evidence(self, examples: Sequence[Example], task: str) -> Tensor:
        """Return the scores from which the answers of a sentence head follow, `[N, S]`."""
        return self._run(examples, [task])[1][task]

    def _run(
        self, examples: Sequence[Example], tasks: Sequence[str]
    ) -> tuple[list[dict[str, list[str]]], dict[str, Tensor]]:
        """Return the tags of each sentence by task, and what sentence heads read, `[N, S]`."""
        training = self.model.training
        self.model.eval()
        try:
            return self._evaluated(examples, tasks)
        finally:
            self.model.train(training)

    def _evaluated(
        self, examples: Sequence[Example], tasks: Sequence[str]
    ) -> tuple[list[dict[str, list[str]]], dict[str, Tensor]]:
        pieces = [
            (row, window)
            for row, example in enumerate(examples)
            for window in self._windows(example)
            if len(example)
        ]
        tags: list[dict[str, list[str]]] = [{} for _ in examples]
        subwords = isinstance(self.model.embedding, TransformerEmbedding)
        encode = (self._subwords if subwords else self._words)(examples, tasks)
        found: dict[int, dict[str, list[str] | Tensor]] = {}
        for indices in self._batches([window.end - window.start for _, window in pieces]):
            own = [pieces[i] for i in indices]
            each = self._labels(*encode(own), [window for _, window in own])
            found.update(zip(indices, each, strict=True))
        for i, (row, _) in enumerate(pieces):  # windows of a sentence come in order
            for task, labels in found[i].items():
                if not isinstance(labels, Tensor):
                    tags[row].setdefault(task, []).extend(labels)
        rows = [row for row, _ in pieces]
        means = {}
        for task in tasks:
            if self.model.head(task).level == "sentence":
                evidence = [
                    e for i in range(len(pieces)) if isinstance(e := found[i][task], Tensor)
                ]
                means[task] = self._means(task, rows, evidence, len(examples))
        return tags, means

    def _windows(self, example: Example) -> list[Window]:
        """Return the windows in which a text is read; pairs are read whole."""
        length = len(example)
        if example.second is not None:
            return [Window(0, length, 0, length)]
        return windows(length, self.max_length, self.overlap)

    def _words(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return what encodes pieces of examples whose words are embedded here, once and for all.

        What it gives is what the head of each task reads, `[B, T, H]`, and the mask `[B, T]`.
        """
        words: dict[str, int] = {}
        numbers = [np.array(number(example.tokens, words)) for example in examples]
        vectors = self._vectors(list(words))

        def encode(pieces: Sequence[Piece]) -> tuple[Mapping[str, Tensor], Tensor]:
            texts = [numbers[row][window.start : window.end] for row, window in pieces]
            cuts = [at for row, _ in pieces if (at := examples[row].second) is not None]
            if cuts:
                both = [np.split(text, [at]) for text, at in zip(texts, cuts, strict=True)]
                texts = [text for side in zip(*both, strict=True) for text in side]
            padded, real = pad([len(text) for text in texts], np.concatenate(texts))
            mask = torch.from_numpy(real).to(vectors.device)
            x = functional.embedding(torch.from_numpy(padded).to(vectors.device), vectors)
            return self.model.encode_vectors(x, mask, tasks).hidden, mask

        return encode

    def _subwords(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return what `_words` does, for a model that embeds the subwords of whole sentences."""
        device = next(self.model.parameters()).device

        def encode(pieces: Sequence[Piece]) -> tuple[Mapping[str, Tensor], Tensor]:
            texts = [
                Example(
                    examples[row].tokens[window.start : window.end], second=examples[row].second
                )
                for row, window in pieces
            ]
            batch = self.encoder.batch(texts).to(device)
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
        """Return what each task says of each text: tags of the kept part, or evidence `[S]`.

        Args:
            hidden: What the head of each task reads, `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens.
            kept: The window that each text is.
        """
        found: list[dict[str, list[str] | Tensor]] = [{} for _ in kept]
        for task, states in hidden.items():
            head = self.model.head(task)
            if head.level == "sentence":
                for own, evidence in zip(found, head.evidence(states, mask), strict=True):
                    own[task] = evidence
                continue
            ids = head.decode(states, mask).tolist()
            for own, w, row in zip(found, kept, ids, strict=True):
                labels = row[w.keep_start - w.start : w.keep_end - w.start]
                own[task] = [head.labels[label] for label in labels]
        return found

    def _means(
        self, task: str, rows: Sequence[int], evidence: Sequence[Tensor], count: int
    ) -> Tensor:
        """Return the mean evidence for each text, `[N, S]`.

        Args:
            task: A task whose labels belong to sentences.
            rows: The text that each piece is of.
            evidence: What each piece says, `[S]`.
            count: The number N of texts, some of which may have no piece.
        """
        head = self.model.head(task)
        sentences = 2 if isinstance(head, Classifier) and head.comparison else 1
        states = next(self.model.parameters()).new_zeros(sentences, 1, head.in_features)
        of_no_token = head.evidence(states, states[..., 0] > 0)  # [1, S]
        if not evidence:
            return of_no_token.expand(count, -1)
        index = torch.tensor(rows, device=of_no_token.device)
        sums = of_no_token.new_zeros(count, of_no_token.shape[1])
        sums = sums.index_add(0, index, torch.stack(list(evidence)))
        pieces = torch.bincount(index, minlength=count).unsqueeze(1)
        return torch.where(pieces > 0, sums / pieces.clamp(min=1), of_no_token)

    def _tags(self, task: str, tags: Sequence[str]) -> tuple[str, ...]:
        """Return tags in the scheme that they are given in."""
        scheme = self.schemes.get(task)
        return tuple(convert(tags, scheme) if scheme else tags)
