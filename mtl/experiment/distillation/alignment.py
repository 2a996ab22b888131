"""From labels of a teacher to labels of a head. Letters: N tokens or sentences, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtl.errors import ConfigError, shorten
from mtl.text.spans import parse_tag

_TINY = 1e-13
"""The smallest probability; it has a logarithm."""


class LabelAlignment:
    """Turns probabilities of a teacher into probabilities of the labels of a head.

    Teachers give span tags in the scheme of their corpus. If that is BIO and the head learns
    IOBES, the probability of each tag is divided between two tags, for spans that continue and
    for spans that end: P(S) = P(B) (1 − q) and P(E) = P(I) (1 − q). Here q is the probability of
    I at the next token, divided by the probability of B or I at this token. Whether a span
    continues thus counts as independent of whether it began here.

    Args:
        task: The task of the student, for messages.
        teacher: The teacher, for messages.
        given: The labels of the teacher.
        expected: The labels of the student, as it writes them.
        head: The K labels of its head.

    Raises:
        ConfigError: The teacher lacks a label of the student.
    """

    def __init__(
        self,
        task: str,
        teacher: str,
        given: Sequence[str],
        expected: Sequence[str],
        head: Sequence[str],
    ) -> None:
        if missing := sorted(set(expected) - set(given)):
            raise ConfigError(
                f"tasks.{task}: the teacher {teacher} does not know the label"
                f"{'s' * (len(missing) > 1)} {shorten(', '.join(missing))}; train it on data with "
                f"all labels and in the same scheme, or leave it out of this task in "
                "`distillation.match`"
            )
        self._spans = set(head) != set(expected)
        index = {label: column for column, label in enumerate(given)}
        if not self._spans:
            self._columns = np.array([index[label] for label in head])
            return
        parsed = [parse_tag(label) for label in head]
        begins = {
            kind: index[label] for label in given for p, kind in [parse_tag(label)] if p == "B"
        }
        inner = {
            kind: index[label] for label in given for p, kind in [parse_tag(label)] if p == "I"
        }
        self._columns = np.array(
            [
                index["O"] if prefix == "O" else (begins if prefix in "BS" else inner)[kind]
                for prefix, kind in parsed
            ]
        )
        outside = len(given)  # an index of no label, for O
        self._inner = np.array([inner.get(kind, outside) for _, kind in parsed])
        self._begin = np.array([begins.get(kind, outside) for _, kind in parsed])
        self._ends = np.array([prefix in "SE" for prefix, _ in parsed])
        self._of_span = np.array([prefix != "O" for prefix, _ in parsed])

    def __call__(
        self, log_probs: NDArray[np.float32], last: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return log-probabilities of the labels of the head, `[N, K]`.

        Args:
            log_probs: Log-probabilities of the labels of the teacher, `[N, …]`.
            last: Whether a token is the last one of its sentence, `[N]`.
        """
        columns: NDArray[np.float32] = log_probs[:, self._columns]
        if not self._spans:
            return columns
        probabilities = np.pad(np.exp(log_probs), ((0, 1), (0, 1)))  # no token, no label
        following = np.where(last[:, None], 0, probabilities[1:][:, self._inner])
        here = probabilities[:-1][:, self._inner] + probabilities[:-1][:, self._begin]
        goes_on = np.clip(following / np.maximum(here, _TINY), 0, 1)
        share = np.where(self._ends, 1 - goes_on, goes_on)
        share = np.where(self._of_span, share, 1)
        found: NDArray[np.float32] = columns + np.log(np.maximum(share, _TINY))
        return found.astype(np.float32)
