"""Rules on whole label sequences, as finite automata. Letters: K labels, N states, T tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mtl.errors import MtlError, OptionError
from mtl.layers.automata import Automaton, Rule, compile_rule, read_rule
from mtl.ops.crf import crf_log_partition, crf_viterbi
from mtl.ops.crf_paths import crf_n_best
from mtl.ops.crf_semirings import Chain

MOST_STATES = 2000
"""The most states of all rules together; a step of decoding takes time with their square."""
_MOST_NUMBERS = 1 << 25
"""The most numbers of a tensor in decoding."""


class Rules(nn.Module):
    """Decoding under rules on whole label sequences.

    Each rule is a finite automaton that reads the labels from the first to the last; all rules
    together are the product of their automata. A path of labels has exactly one path through the
    pairs of an automaton state and a label, N of them. So the best label sequences under the rules
    are the best paths of a linear chain with N labels (constraints as automata: Roche and Schabes
    1997; Roark and Sproat 2007).

    | rule | meaning |
    |---|---|
    | `{at_most: 1, labels: [A]}` | at most one A |
    | `{at_least: 1, labels: [A, B]}` | at least one A or B |
    | `{labels: [X], after: [Y]}` | each X has a Y somewhere before it |
    | `{labels: [X], with: [Y]}` | X only in sentences with a Y |

    `labels`, `after` and `with` are a name or a list of names. A name is a label, or the type of a
    span: it then stands for the labels with which such a span begins, such as B-PER and S-PER.

    Args:
        labels: The K labels.
        rules: The rules.

    Raises:
        OptionError: A rule is not of these forms or names an unknown label, or all rules need more
            than 2,000 states, or no label sequence obeys them.
    """

    of_state: Tensor
    """The label of each state, `[N]`."""
    forbidden: Tensor
    """`[N, N]` bool, the pairs of states that do not follow each other."""
    not_first: Tensor
    not_last: Tensor

    def __init__(self, labels: Sequence[str], rules: Sequence[Rule]) -> None:
        super().__init__()
        automata = [compile_rule(rule, labels) for rule in rules]
        start = (0,) * len(automata)
        states = _reachable(automata, start, len(labels))
        index = {state: number for number, state in enumerate(states)}
        forbidden = torch.ones(len(states), len(states), dtype=torch.bool)
        for number, (memory, _) in enumerate(states):
            for state in _next(automata, memory, len(labels)):
                forbidden[number, index[state]] = False
        first = [index[state] for state in _next(automata, start, len(labels))]
        last = [
            all(a.accepting[q] for a, q in zip(automata, memory, strict=True))
            for memory, _ in states
        ]
        if not any(last):
            raise OptionError("rules", "no sequence of labels obeys all rules; remove one of them")
        not_first = torch.ones(len(states), dtype=torch.bool)
        not_first[first] = False
        # Not in the state dict, as they follow from the labels and the options.
        for name, value in {
            "of_state": torch.tensor([label for _, label in states]),
            "forbidden": forbidden,
            "not_first": not_first,
            "not_last": ~torch.tensor(last),
        }.items():
            self.register_buffer(name, value, persistent=False)

    @staticmethod
    def check(rules: Iterable[Rule]) -> Iterator[OptionError]:
        """Yield an error for each rule that has no form that exists, whatever the labels are."""
        for rule in rules:
            try:
                read_rule(rule)
            except OptionError as error:
                yield error

    def widened(self, chain: Chain) -> Chain:
        """Return a chain over N states whose possible paths obey the rules.

        Args:
            chain: Emissions `[B, T, K]`, transitions `[K, K]` or `[B, T - 1, K, K]`, and first and
                last labels, `[K]`.
        """
        emissions, transitions, start, end = chain
        own = self.of_state
        return (
            emissions[..., own],
            transitions[..., own.unsqueeze(1), own].masked_fill(self.forbidden, -torch.inf),
            start[own].masked_fill(self.not_first, -torch.inf),
            end[own].masked_fill(self.not_last, -torch.inf),
        )


@cache  # one warning per text
def warn_once(text: str) -> None:
    """Log a warning, once per process."""
    logging.getLogger(__name__).warning(text)


def refuse_rules(rules: Rules | None) -> None:
    """Raise MtlError if there are rules: for models that decode by transitions alone."""
    if rules is not None:
        raise MtlError(
            "the head has rules on whole sequences, which exported models and ensembles cannot "
            "obey; use the run folder itself, or train a head without rules"
        )


def best_paths(chain: Chain, mask: Tensor, rules: Rules | None) -> Tensor:
    """Return the best label ids, `[B, T]`, 0 on padding.

    A sentence in which no sequence obeys the rules gets its best sequence without them, and a
    warning says so once.

    Args:
        chain: Emissions, transitions, first and last labels; see `Rules.widened`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        rules: The rules, if there are any.
    """
    if rules is None:
        return crf_viterbi(*chain, mask)[0]
    parts = [crf_viterbi(*rules.widened(own), real) for own, real in _parts(chain, mask, rules, 1)]
    paths, scores = map(torch.cat, zip(*parts, strict=True))
    paths = rules.of_state[paths].masked_fill(~mask, 0)
    unruled = _unruled(scores, mask)
    if unruled.any():
        paths[unruled] = crf_viterbi(*chain, mask)[0][unruled]
    return paths


def n_best_paths(chain: Chain, mask: Tensor, n: int, rules: Rules | None) -> tuple[Tensor, Tensor]:
    """Return the n best label sequences `[B, n, T]`, best first, and their log-probabilities.

    The log-probabilities `[B, n]` are among all sequences that the chain and the rules allow. A
    missing sequence has −∞. The arguments and sentences in which no sequence obeys the rules are
    as for `best_paths`.
    """
    if rules is None:
        return _n_best(chain, mask, n)
    parts = [_n_best(rules.widened(own), real, n) for own, real in _parts(chain, mask, rules, n)]
    paths, log_probs = map(torch.cat, zip(*parts, strict=True))
    paths = rules.of_state[paths].masked_fill(~mask.unsqueeze(1), 0)
    unruled = _unruled(log_probs[:, 0], mask)
    if unruled.any():
        for own, free in zip((paths, log_probs), _n_best(chain, mask, n), strict=True):
            own[unruled] = free[unruled]
    return paths, log_probs


def _n_best(chain: Chain, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
    paths, scores = crf_n_best(*chain, mask, n)
    log_probs = scores - crf_log_partition(*chain, mask).unsqueeze(1)
    # A sentence without a possible path has the score −∞ − (−∞).
    return paths, log_probs.masked_fill(log_probs.isnan(), -torch.inf)


def _parts(chain: Chain, mask: Tensor, rules: Rules, n: int) -> Iterator[tuple[Chain, Tensor]]:
    """Yield a batch in parts, so that the largest tensor of a part fits into the memory."""
    emissions, transitions, start, end = chain
    steps = 1 if transitions.dim() == 2 else mask.shape[1]
    size = max(1, _MOST_NUMBERS // (max(n, steps) * len(rules.of_state) ** 2))
    for first in range(0, max(1, len(mask)), size):
        rows = slice(first, first + size)
        own = transitions if transitions.dim() == 2 else transitions[rows]
        yield (emissions[rows], own, start, end), mask[rows]


def _unruled(scores: Tensor, mask: Tensor) -> Tensor:
    """Return a mask of the sentences without a sequence, given best scores `[B]`, and warn."""
    unruled = scores.isneginf() & mask.any(1)
    if unruled.any():
        warn_once(
            "some sentences have no label sequence that obeys the rules of the head; they are "
            "labelled without the rules"
        )
    return unruled


State: TypeAlias = tuple[tuple[int, ...], int]
"""The state of each automaton after a label, and the label."""


def _next(automata: Sequence[Automaton], memory: tuple[int, ...], count: int) -> Iterator[State]:
    """Yield the states that may follow."""
    for label in range(count):
        moved = tuple(a.moves[q][label] for a, q in zip(automata, memory, strict=True))
        if min(moved) >= 0:
            yield moved, label


def _reachable(automata: Sequence[Automaton], start: tuple[int, ...], count: int) -> list[State]:
    """Return all states that a label sequence can reach, in alphabetical order."""
    seen: set[State] = set()
    memories, waiting = {start}, [start]
    while waiting:
        for memory, label in _next(automata, waiting.pop(), count):
            seen.add((memory, label))
            if len(seen) > MOST_STATES:
                raise OptionError(
                    "rules",
                    f"they need more than {MOST_STATES:,} states, pairs of a label and of what the "
                    "rules remember; use fewer rules or smaller numbers",
                )
            if memory not in memories:
                memories.add(memory)
                waiting.append(memory)
    if not seen:
        raise OptionError("rules", "no sequence of labels obeys all rules; remove one of them")
    return sorted(seen)
