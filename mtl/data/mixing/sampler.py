"""Which batch of which corpus each step of a run takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mtl.data.batching import generator
from mtl.data.mixing.base import Mixing
from mtl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Draw:
    """One batch.

    Args:
        corpus: The corpus it is taken from.
        epoch: The number of the pass over that corpus, from 0.
        index: The number of the batch in that pass, from 0.
    """

    corpus: str
    epoch: int
    index: int


class Sampler:
    """The batches of a run, step by step: a pure function of mixing, seed, factors and progress.

    A corpus is gone through batch by batch, and the next pass starts where the last one ended,
    in whatever epoch of the run that is. So no sentence is dropped: at any time every one has been
    seen k or k + 1 times.

    Args:
        mixing: How often each corpus is drawn.
        seed: The seed of the run.
        sampling: Corpus to the factor by which it is drawn more often than the mixing says.
        epoch_steps: The steps of an epoch; None: those of one pass.
        reached: Gives how far each corpus had come after so many epochs (see `Mixing.factors`),
            which must not change any more; it is asked for a mixing that needs the scores.

    Raises:
        ConfigError: Factors were given to a mixing that takes a batch of every corpus a step, or
            an epoch is too short for a batch of every corpus.
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
                "joint mixing takes one batch of every corpus a step, so 'sampling' has no effect; "
                "remove it, or choose another mixing"
            )
        if epoch_steps is not None and not mixing.joint and epoch_steps < len(mixing.sizes):
            raise ConfigError(
                f"training.epoch_steps: expected at least {len(mixing.sizes)}, one a corpus, got "
                f"{epoch_steps}"
            )
        self._drawn_before = [dict.fromkeys(mixing.sizes, 0)]

    @property
    def steps_per_epoch(self) -> int:
        """The steps of an epoch: those of the mixing, each corpus's batches times its factor."""
        if self.epoch_steps is not None:
            return self.epoch_steps
        sizes = self.mixing.sizes
        scaled = sum(size * self.factors[corpus] for corpus, size in sizes.items())
        steps = round(self.mixing.steps_per_epoch * scaled / sum(sizes.values()))
        return steps if self.mixing.joint else max(steps, len(sizes))

    def counts(self, epoch: int) -> dict[str, int]:
        """Return how many batches of each corpus an epoch of the run takes, at least one of each.

        Args:
            epoch: The epoch of the run, from 0.
        """
        if self.mixing.joint:
            return dict.fromkeys(self.mixing.sizes, self.steps_per_epoch)
        length = self.mixing.steps_per_epoch
        shares = dict.fromkeys(self.mixing.sizes, 0.0)
        for step in range(epoch * length, (epoch + 1) * length):
            for corpus, probability in self.mixing.probabilities(step).items():
                shares[corpus] += probability * self.factors[corpus]
        factors = self.mixing.factors(self.reached(epoch) if self.mixing.needs_scores else {})
        followed = {corpus: share * factors[corpus] for corpus, share in shares.items()}
        return apportion(followed, self.steps_per_epoch)

    def plan(self, epoch: int) -> list[str]:
        """Return the corpus of each step of an epoch (not of a joint mixing: it takes them all).

        Args:
            epoch: The epoch of the run, from 0.
        """
        return self.mixing.order(self.counts(epoch), generator(self.seed, "mixing", epoch))

    def epoch(self, epoch: int) -> Iterator[list[Draw]]:
        """Yield what each step of an epoch takes: one batch, or one of every corpus when joint.

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
        """Return how many batches of each corpus were taken before an epoch."""
        for earlier in range(len(self._drawn_before) - 1, epoch):
            counts = self.counts(earlier)
            before = self._drawn_before[-1]
            self._drawn_before.append({c: n + counts[c] for c, n in before.items()})
        return self._drawn_before[epoch]


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Divide `total` in proportion to the shares, by largest remainder, at least one to each.

    >>> apportion({"a": 2.0, "b": 1.0, "c": 0.01}, 10)
    {'a': 6, 'b': 3, 'c': 1}
    """
    scale = total / sum(shares.values())
    counts = {name: max(1, int(share * scale)) for name, share in shares.items()}
    while difference := total - sum(counts.values()):
        one = 1 if difference > 0 else -1
        changeable = [name for name in counts if counts[name] + one >= 1]
        name = max(changeable, key=lambda n: one * (shares[n] * scale - counts[n]))
        counts[name] += one
    return counts
