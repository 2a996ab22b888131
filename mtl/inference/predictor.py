"""Labels for sentences of any number and length."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mtl.data.batching import batches
from mtl.data.encoding import Batcher, number, pad
from mtl.data.windows import Window, windows
from mtl.embeddings import TransformerEmbedding
from mtl.errors import MtlError
from mtl.heads import Classifier, Head, Tagger
from mtl.inference.explanation import (
    Explanation,
    explained_sentences,
    explained_tags,
    with_attention,
)
from mtl.inference.readouts import Reading, join, mean_evidence, read
from mtl.model import MultiTaskModel
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme, convert

Prediction = dict[str, Labels]
"""Task to the labels of one sentence."""
Piece = tuple[int, Window]
"""Row and window of an example."""
LONGEST = 2048
"""The most tokens of which it is told how much each looks at each other one."""
Encode = Callable[[Sequence[Piece]], tuple[Mapping[str, Tensor], Tensor]]


class Predictor:
    """Runs a model over sentences: all tasks in one pass, short and long ones together.

    Args:
        model: The model.
        batcher: Numbers words and labels as in training.
        schemes: Task to the scheme that its span tags are given in; None leaves tags as learnt.
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: How many tokens neighbouring windows share.
        max_tokens: The most tokens in a batch, padding counted.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        batcher: Batcher,
        *,
        schemes: Mapping[str, Scheme | None],
        max_length: int,
        overlap: int,
        max_tokens: int = 1024,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.schemes = dict(schemes)
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens

    @torch.inference_mode()
    def predict(self, examples: Sequence[Example], tasks: Sequence[str]) -> list[Prediction]:
        """Return the labels of each sentence, in the order given.

        What a long document has as a whole follows from the means of its scores over the windows.
        """
        answers: list[Prediction] = [{} for _ in examples]
        with self._evaluating():
            for task, texts in self._run(examples, tasks).items():
                for answer, labels in zip(answers, self._labels(task, texts), strict=True):
                    answer[task] = labels
        return answers

    @torch.inference_mode()
    def explain(
        self,
        examples: Sequence[Example],
        tasks: Sequence[str],
        *,
        confidence: bool = False,
        attention: Collection[str] = (),
    ) -> list[dict[str, Explanation]]:
        """Return the labels of each sentence, in the order given, with what they rest on.

        Args:
            examples: The sentences.
            tasks: The tasks.
            confidence: Whether to say how probable the labels are.
            attention: Those of the tasks of which to say where their heads look.

        Raises:
            MtlError: A text is too long for a matrix of its tokens.
        """
        for task in attention:
            self._check_lengths(task, examples)
        answers: list[dict[str, Explanation]] = [{} for _ in examples]
        with self._evaluating():
            for task, texts in self._run(examples, tasks, confidence, attention).items():
                found = self._explained(task, texts, confidence)
                if task in attention:
                    found = [
                        with_attention(own, text, self._windows(example), len(example.texts))
                        for own, text, example in zip(found, texts, examples, strict=True)
                    ]
                for answer, explanation in zip(answers, found, strict=True):
                    answer[task] = explanation
        return answers

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Have the model in evaluation, without dropout; afterwards it is as it was."""
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    @torch.inference_mode()
    def attention(self, task: str) -> Literal["weights", "matrix"] | None:
        """Return what there is to say of where a head looks.

        Returns:
            Weights of tokens; a matrix, of tokens that look at tokens; None if it has no attention.
        """
        head = self.model.head(task)
        states = self._of_no_token(head)
        with self._evaluating():
            weights = head.attention_weights(states, states[..., 0] > 0)
        if weights is None:
            return None
        return "weights" if weights.ndim == 3 else "matrix"

    def _check_lengths(self, task: str, examples: Sequence[Example]) -> None:
        longest = max(map(len, examples), default=0)
        if longest > LONGEST and self.attention(task) == "matrix":
            raise MtlError(
                f"task {task!r}: the attention of each of {longest:,} words to each other one is "
                f"too much to tell; expected a text of at most {LONGEST:,}"
            )

    def _explained(
        self, task: str, texts: Sequence[Sequence[Reading]], confidence: bool
    ) -> list[Explanation]:
        """Return the labels of each text, given what the head says of its windows."""
        head = self.model.head(task)
        if head.level == "sentence":
            return explained_sentences(head, self._means(task, texts), confidence=confidence)
        tags = self._tags(task, texts)
        if not confidence:
            return [Explanation(own) for own in tags]
        spans = bool(self.schemes.get(task)) and isinstance(head, Tagger)
        both = zip(texts, tags, strict=True)
        return [explained_tags(text, own, spans=spans) for text, own in both]

    def _labels(self, task: str, texts: Sequence[Sequence[Reading]]) -> Sequence[Labels]:
        """Return the labels of each text, given what the head says of its windows."""
        head = self.model.head(task)
        if head.level == "sentence":
            return head.named(head.conclude(self._means(task, texts)))
        return self._tags(task, texts)

    def _tags(self, task: str, texts: Sequence[Sequence[Reading]]) -> list[tuple[str, ...]]:
        """Return the tags of each text in the scheme that they are given in."""
        scheme = self.schemes.get(task)
        if not scheme:
            return [tuple(join(text)) for text in texts]
        return [tuple(convert(join(text), scheme)) for text in texts]

    @torch.inference_mode()
    def evidence(self, examples: Sequence[Example], task: str) -> Tensor:
        """Return the scores from which the answers of a sentence head follow, `[N, S]`."""
        with self._evaluating():
            return self._means(task, self._run(examples, [task])[task])

    def _run(
        self,
        examples: Sequence[Example],
        tasks: Sequence[str],
        confidence: bool = False,
        attention: Collection[str] = (),
    ) -> dict[str, list[list[Reading]]]:
        """Return what the head of each task says of each sentence, window by window."""
        pieces = [
            (row, window)
            for row, example in enumerate(examples)
            for window in self._windows(example)
            if len(example)
        ]
        subwords = isinstance(self.model.embedding, TransformerEmbedding)
        encode = (self._subwords if subwords else self._words)(examples, tasks)
        found: dict[str, dict[int, Reading]] = {task: {} for task in tasks}
        for indices in self._batches([window.end - window.start for _, window in pieces]):
            hidden, mask = encode([pieces[i] for i in indices])
            for task, states in hidden.items():
                readings = read(
                    self.model.head(task),
                    states,
                    mask,
                    [pieces[i][1] for i in indices],
                    confidence=confidence,
                    scheme=self.schemes.get(task),
                    attention=task in attention,
                )
                found[task].update(zip(indices, readings, strict=True))
        texts: dict[str, list[list[Reading]]] = {task: [[] for _ in examples] for task in tasks}
        for task, own in texts.items():
            for i, (row, _) in enumerate(pieces):  # windows of a sentence come in order
                own[row].append(found[task][i])
        return texts

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
            batch = self.batcher.batch(texts).to(device)
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
            batch = self.batcher.batch([Example(tuple(words[i] for i in rows))])
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

    def _means(self, task: str, texts: Sequence[Sequence[Reading]]) -> Tensor:
        """Return the mean evidence for each text, `[N, S]`."""
        head = self.model.head(task)
        return mean_evidence(head, texts, self._of_no_token(head))

    def _of_no_token(self, head: Head) -> Tensor:
        """Return what a head reads of a sentence without tokens: states of padding, `[·, 1, H]`."""
        sentences = 2 if isinstance(head, Classifier) and head.comparison else 1
        return next(self.model.parameters()).new_zeros(sentences, 1, head.in_features)
