"""Encode the windows of sentences with one model, for its heads.

Letters: B windows, T tokens, U distinct words, D width of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.encoding import Batcher, pad
from mtl.data.windows import Window
from mtl.embeddings import EmbeddingOutput
from mtl.embeddings.base import of_words
from mtl.heads import Head
from mtl.inference import process
from mtl.inference.base import BasePredictor, Encode
from mtl.inference.cutting import Piece, word_batches
from mtl.inference.merging import padding_states
from mtl.inference.words import WordTable
from mtl.layers.lookup import look_up
from mtl.model import MultiTaskModel
from mtl.text.example import Example
from mtl.text.spans import Scheme

Embed = Callable[[Sequence[Piece]], tuple[EmbeddingOutput, Tensor]]
"""Embeds windows; returns the input of the trunk, and the mask of words `[B, T]`."""


class Predictor(BasePredictor):
    """Labels sentences with one model.

    Args:
        model: The model.
        batcher: Maps words and labels to ids as in training.
        schemes: Task to the output scheme of its span tags; None leaves tags as learned.
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: The number of tokens that neighbouring windows share.
        max_tokens: The most tokens per batch, padding included.
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
        super().__init__(
            batcher.targets,
            schemes=schemes,
            max_length=max_length,
            overlap=overlap,
            max_tokens=max_tokens,
        )
        self.model = model
        self.batcher = batcher
        self._parameter = next(model.parameters())
        self._words = WordTable(nn.ModuleList([model.embedding, model.sharing]))
        self._trainings = model.trainings
        self._readers = 0
        self._was_training = False

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self._parameter.device

    def head(self, task: str) -> Head:
        """Return the head of a task."""
        return self.model.head(task)

    def padding(self, task: str) -> Tensor:
        """Return the hidden states of a sentence without tokens; see `padding_states`."""
        return padding_states(self.head(task), self._parameter)

    def positions(self, example: Example, window: Window) -> int:
        """Return the number of positions of a window in a batch: words, or subwords."""
        if not self.batcher.reads_subwords:
            return super().positions(example, window)
        return self.batcher.positions(example.tokens[window.start : window.end])

    @torch.inference_mode()
    def attention(self, task: str) -> Literal["weights", "matrix"] | None:
        """Return the kind of attention that the head of a task has.

        Returns:
            "weights" of tokens; "matrix" if tokens attend to tokens; None without attention.
        """
        head, states = self.head(task), self.padding(task)
        with self.evaluating():
            weights = head.attention_weights(states, states[..., 0] > 0)
        if weights is None:
            return None
        return "weights" if weights.ndim == 3 else "matrix"

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the model into evaluation mode, and back into its former mode.

        While several threads predict, the last one to end restores the mode.
        """
        with process.lock():
            if self._trainings != self.model.trainings:
                self._trainings = self.model.trainings
                self._words.clear()
            if not self._readers:
                self._was_training = self.model.training
                if self._was_training:
                    self.model.eval()
            self._readers += 1
        try:
            yield
        finally:
            with process.lock():
                self._readers -= 1
                if self._was_training and not self._readers:
                    self.model.train()

    def encoder(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return a function that encodes windows of these sentences."""
        if self.model.embedding.contextual or any(self.head(task).reads_words for task in tasks):
            embed = self._embed_sentences(examples)
        else:
            embed = self._embed_words(examples)

        def encode(
            pieces: Sequence[Piece], tasks: Sequence[str]
        ) -> tuple[Mapping[str, Tensor], Tensor]:
            embedded, mask = embed(pieces)
            return self.model.encode_vectors(embedded, tasks).hidden, mask

        return encode

    # ---- embedding windows

    def _embed_words(self, examples: Sequence[Example]) -> Embed:
        """Embed each distinct word once; windows are then looked up."""
        ids, words = self._words.find([example.tokens for example in examples], self._word_vectors)
        device = words.vectors.device

        def embed(pieces: Sequence[Piece]) -> tuple[EmbeddingOutput, Tensor]:
            rows = [ids[row][window.start : window.end] for row, window in pieces]
            seconds = [at for row, _ in pieces if (at := examples[row].second) is not None]
            if seconds:
                # Encoders read the sentences of a pair as separate rows, as in training.
                sides = [np.split(row, [at]) for row, at in zip(rows, seconds, strict=True)]
                rows = [row for side in zip(*sides, strict=True) for row in side]
            padded, real = pad([len(row) for row in rows], np.concatenate(rows))
            mask = torch.from_numpy(real).to(device)
            return of_words(look_up(words, torch.from_numpy(padded).to(device)), mask), mask

        return embed

    def _embed_sentences(self, examples: Sequence[Example]) -> Embed:
        """Embed window by window, for embeddings and heads that read more than single words."""

        def embed(pieces: Sequence[Piece]) -> tuple[EmbeddingOutput, Tensor]:
            texts = [
                Example(
                    examples[row].tokens[window.start : window.end], second=examples[row].second
                )
                for row, window in pieces
            ]
            batch = self.batcher.batch(texts).to(self._parameter.device)
            return self.model.embed(batch.features, batch.mask), batch.mask

        return embed

    def _word_vectors(self, words: Sequence[str]) -> Tensor:
        """Return the vectors of words, `[U, D]`; words of similar length are embedded together."""
        vectors = self._parameter.new_zeros(len(words), self.model.embedding.size)
        for rows in word_batches(words, self.max_tokens):
            batch = self.batcher.batch([Example(tuple(words[i] for i in rows))])
            batch = batch.to(vectors.device)
            embedded = self.model.embedding(batch.features, batch.mask)
            vectors[torch.tensor(rows)] = embedded.vectors[0]
        return vectors
