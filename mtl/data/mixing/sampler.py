"""The corpus and the batch that each step of a run is trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mtl.data.batching import generator
from mtl.data.mixing.base import Mixing
from mtl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Draw:
    """The position of one batch.

    Args:
        corpus: The corpus of the batch.
        epoch: Index of the pass over that corpus, from 0.
        index: Index of the batch in that pass, from 0.
    """

    corpus: str
    epoch: int
    index: int


class Sampler:
    """The batches of a run, step by step: a pure function of mixing, seed, factors and progress.

    The batches of a corpus are drawn in order. An epoch of the run continues each corpus where the
    epoch before stopped, even in the middle of a pass. No sentence is dropped: at any time, every
    sentence of a corpus has been drawn k or k + 1 times.

    Args:
        mixing: Determines how often each corpus is drawn.
        seed: The seed of the run.
        sampling: Corpus to a factor that multiplies its probability.
        epoch_steps: Number of steps per epoch; None for one pass, as the mixing defines it.
        reached: Returns the progress of each corpus after a number of epochs (see
            `Mixing.factors`). It must always return the same values for past epochs. It is only
            called for a mixing that needs the scores.

    Raises:
        ConfigError: A joint mixing has `sampling` factors, or an epoch is too short for one batch
            of every corpus.
    """

    def __init__(
        self,
        mixing: Mixing,
        seed: int,
        sampling: Mapping[str, float] | None = None,
        epoch_steps: int | None = None,
        reached: Callable[[int], Mapping[str, float]] = lambda _: {},
    ) -> None:
        self.mixing = mixing
        self.seed = seed
        self.epoch_steps = epoch_steps
        self.reached = reached
        self.factors = {corpus: (sampling or {}).get(corpus, 1.0) for corpus in mixing.sizes}
        if mixing.joint and set(self.factors.values()) != {1.0}:
            raise ConfigError(
                "joint mixing takes one batch of every corpus per step, so 'sampling' has no "
                "effect; remove it, or choose another mixing"
            )
        if epoch_steps is not None and not mixing.joint and epoch_steps < len(mixing.sizes):
            raise ConfigError(
                f"training.epoch_steps: expected at least {len(mixing.sizes)}, one per corpus, "
                f"got {epoch_steps}"
            )
        self._known_shares: dict[int, dict[str, float]] = {}
        self._drawn_before = [dict.fromkeys(mixing.sizes, 0)]

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps per epoch: the steps of the mixing, scaled by the sampling factors."""
        if self.epoch_steps is not None:
            return self.epoch_steps
        sizes = self.mixing.sizes
        scaled = sum(size * self.factors[corpus] for corpus, size in sizes.items())
        steps = round(self.mixing.steps_per_epoch * scaled / sum(sizes.values()))
        return steps if self.mixing.joint else max(steps, len(sizes))

    def counts(self, epoch: int) -> dict[str, int]:
        """Return the number of batches of each corpus in an epoch of the run, at least one.

        Args:
            epoch: The epoch of the run, from 0.
        """
        if self.mixing.joint:
            return dict.fromkeys(self.mixing.sizes, self.steps_per_epoch)
        # Expected counts are rounded instead of drawing each step, so that an epoch contains each
        # corpus as often as the mixing says, not just on average.
        factors = self.mixing.factors(self.reached(epoch) if self.mixing.needs_scores else {})
        shares = self._shares(epoch)
        scaled = {corpus: share * factors[corpus] for corpus, share in shares.items()}
        return apportion(scaled, self.steps_per_epoch)

    def _shares(self, epoch: int) -> dict[str, float]:
        """Return the expected number of batches of each corpus in an epoch, before the scores."""
        if epoch not in self._known_shares:
            probabilities, length = self.mixing.probabilities, self.mixing.steps_per_epoch
            steps = range(epoch * length, (epoch + 1) * length)
            shares = dict.fromkeys(self.mixing.sizes, 0.0)
            if getattr(probabilities, "constant_in_epoch", False):
                for corpus, probability in probabilities(steps[0]).items():
                    # The sum, unlike a product, has the rounding errors of the loop below. They
                    # decide ties, so the draws of a run depend on them.
                    terms = np.full(length, probability * self.factors[corpus])
                    shares[corpus] = float(terms.cumsum()[-1])
            else:
                for step in steps:
                    for corpus, probability in probabilities(step).items():
                        shares[corpus] += probability * self.factors[corpus]
            self._known_shares[epoch] = shares
        return self._known_shares[epoch]

    def plan(self, epoch: int) -> list[str]:
        """Return the corpus of each step of an epoch; not for joint mixings, which take all.

        Args:
            epoch: The epoch of the run, from 0.
        """
        return self.mixing.order(self.counts(epoch), generator(self.seed, "mixing", epoch))

    def epoch(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield the draws of each step of an epoch: one batch, or one per corpus if joint.

        Args:
            epoch: The epoch of the run, from 0.
        """
        drawn = dict(self._before(epoch))
        joint = self.mixing.joint
        steps = [list(drawn)] * self.steps_per_epoch if joint else [[c] for c in self.plan(epoch)]
        for corpora in steps:
            yield [
                Draw(corpus, *divmod(drawn[corpus], self.mixing.sizes[corpus]))
                for corpus in corpora
            ]
            for corpus in corpora:
                drawn[corpus] += 1

    def _before(self, epoch: int) -> dict[str, int]:
        """Return the number of batches of each corpus before an epoch."""
        # Counts of past epochs never change, so they are computed once.
        for earlier in range(len(self._drawn_before) - 1, epoch):
            counts = self.counts(earlier)
            before = self._drawn_before[-1]
            self._drawn_before.append({c: n + counts[c] for c, n in before.items()})
        return self._drawn_before[epoch]


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Divide `total` in proportion to the shares by largest remainder; each share gets at least 1.

    >>> apportion({"a": 2.0, "b": 1.0, "c": 0.01}, 10)
    {'a': 6, 'b': 3, 'c': 1}
    """
    scale = total / sum(shares.values())
    counts = {name: max(1, int(share * scale)) for name, share in shares.items()}
    while difference := total - sum(counts.values()):
        # The minimum of one may exceed the total, so counts may also have to shrink.
        change = 1 if difference > 0 else -1
        changeable = [name for name in counts if counts[name] + change >= 1]
        name = max(changeable, key=lambda n: change * (shares[n] * scale - counts[n]))
        counts[name] += change
    return counts
