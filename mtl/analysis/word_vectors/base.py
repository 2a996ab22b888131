"""The contracts of methods that learn word vectors. Letters: V words, D width of the vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl.analysis.word_vectors.text import CountedText
from mtl.errors import TrainingError
from mtl.options import PositiveFloat, PositiveInt

LearningProgress: TypeAlias = Callable[[float], object]
"""Called with the share of the work that is done, from 0 to 1."""


class VectorMethod(ABC):
    """A way to learn word vectors from text; its keyword-only arguments are its options."""

    @abstractmethod
    def learn(
        self, text: CountedText, dim: int, *, seed: int, progress: LearningProgress
    ) -> NDArray[np.float32]:
        """Return one vector per word, `[V, D]`.

        Args:
            text: The text.
            dim: Width D.
            seed: Seed of all random numbers.
            progress: Shows the progress.

        Raises:
            MtlError: D exceeds the number of words, where the method does not allow it.
            TrainingError: The loss is not finite.
        """


class VectorObjective(nn.Module, ABC):
    """A loss whose minimum has good word vectors among its parameters."""

    batch_size: int
    """The number of examples of a step."""

    @abstractmethod
    def examples(self, random: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the examples of one epoch: tensors with one row per example."""

    @abstractmethod
    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Return the sum of the losses of some examples.

        Args:
            batch: Rows of `examples`.
            generator: Random numbers for noise.
        """

    @abstractmethod
    def vectors(self) -> Tensor:
        """Return the word vectors, `[V, D]`."""


class GradientMethod(VectorMethod):
    """Learns word vectors by stochastic gradients.

    The optimiser is Adagrad (Duchi et al. 2011), with which GloVe is trained. Each value has its
    own step size, so that rare words learn fast. The learning rate falls linearly to zero.

    Args:
        epochs: The number of passes over the text.
        lr: The learning rate at the start.
    """

    def __init__(self, *, epochs: PositiveInt = 5, lr: PositiveFloat = 0.05) -> None:
        self.epochs = epochs
        self.lr = lr

    @abstractmethod
    def objective(self, text: CountedText, dim: int, generator: torch.Generator) -> VectorObjective:
        """Return the loss, with random parameters."""

    def learn(
        self, text: CountedText, dim: int, *, seed: int, progress: LearningProgress
    ) -> NDArray[np.float32]:
        """Minimise the objective; see `VectorMethod.learn`."""
        generator = torch.Generator().manual_seed(seed)
        random = np.random.default_rng(seed)
        objective = self.objective(text, dim, generator)
        optimizer = torch.optim.Adagrad(objective.parameters(), lr=self.lr)
        # Gradients of tables are sparse: a step changes only the rows of its words.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            for epoch in range(self.epochs):
                examples = objective.examples(random)
                order = torch.randperm(len(examples[0]), generator=generator)
                for start in range(0, len(order), objective.batch_size):
                    done = (epoch + start / len(order)) / self.epochs
                    optimizer.param_groups[0]["lr"] = self.lr * (1 - done)
                    rows = order[start : start + objective.batch_size]
                    batch = tuple(values[rows] for values in examples)
                    loss = objective.loss(batch, generator)
                    if not torch.isfinite(loss):
                        raise TrainingError(
                            f"the loss of epoch {epoch + 1} is not finite; lower lr, which is "
                            f"{self.lr:g}"
                        )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    progress(done)
        progress(1.0)
        return objective.vectors().detach().numpy()


def uniform_table(rows: int, dim: int, generator: torch.Generator, bound: float) -> nn.Embedding:
    """Return a table `[rows, D]` of random vectors, whose gradients are sparse.

    Args:
        rows: The number of vectors.
        dim: Width D.
        generator: The random numbers.
        bound: The largest value; the least is its negative.
    """
    table = nn.Embedding(rows, dim, sparse=True)
    with torch.no_grad():
        table.weight.uniform_(-bound, bound, generator=generator)
    return table
