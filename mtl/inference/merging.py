"""Merging the outputs of a head for the windows of a sentence.

Letters: N sentences, S logits, K labels, H width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.heads import Classifier, Head, Tagger
from mtl.inference.task_prediction import Readout, TaskPrediction
from mtl.inference.token_merging import merge_tokens
from mtl.targets import Target
from mtl.text.spans import Scheme


def merge_windows(
    head: Head,
    target: Target,
    readouts: Sequence[Sequence[Readout]],
    padding: Tensor,
    *,
    scheme: Scheme | None,
    confidence: bool = False,
    logits: bool = False,
    temperature: float = 1.0,
) -> list[TaskPrediction]:
    """Return the prediction of a head for each of N sentences, without attention.

    Args:
        head: The head.
        target: The target of the task.
        readouts: Its outputs for the windows of each sentence; a sentence without tokens has none.
        padding: The hidden states of a sentence without tokens; see `padding_states`.
        scheme: The output scheme of span tags; None leaves tags as the head learned them.
        confidence: Whether to include confidences.
        logits: Whether to include the logits.
        temperature: The mean logits are divided by it for confidences, and not for labels.
    """
    if target.level == "token":
        spans = scheme is not None and isinstance(head, Tagger)
        return [merge_tokens(row, scheme, confidence=confidence, spans=spans) for row in readouts]
    return _merge_logits(head, target, readouts, padding, confidence, logits, temperature)


def _merge_logits(
    head: Head,
    target: Target,
    readouts: Sequence[Sequence[Readout]],
    padding: Tensor,
    confidence: bool,
    logits: bool,
    temperature: float,
) -> list[TaskPrediction]:
    # The mean is taken before decoding: heads decode logits, and thresholds were fitted on means.
    means = _mean_logits(head, readouts, padding)
    merged = [TaskPrediction(answer) for answer in head.named(head.conclude(means))]
    if confidence:
        probabilities = head.log_probs_from(means / temperature).exp().tolist()
        merged = [
            answer._replace(
                confidence=target.confidence(
                    answer.labels, dict(zip(head.labels, row, strict=True))
                )
            )
            for answer, row in zip(merged, probabilities, strict=True)
        ]
    if logits:
        merged = [answer._replace(logits=row) for answer, row in zip(merged, means, strict=True)]
    return merged


def _mean_logits(head: Head, readouts: Sequence[Sequence[Readout]], padding: Tensor) -> Tensor:
    """Return the mean logits of each sentence over its windows, `[N, S]`.

    A sentence without tokens gets the logits of padding.
    """
    default = head.evidence(padding, padding[..., 0] > 0)  # [1, S]
    logits = [r.logits for row in readouts for r in row if r.logits is not None]
    if not logits:
        return default.expand(len(readouts), -1)
    owners = [number for number, row in enumerate(readouts) for _ in row]
    index = torch.tensor(owners, device=default.device)
    sums = default.new_zeros(len(readouts), default.shape[1])
    sums = sums.index_add(0, index, torch.stack(logits))
    counts = torch.bincount(index, minlength=len(readouts)).unsqueeze(1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), default)


def padding_states(head: Head, like: Tensor) -> Tensor:
    """Return the hidden states of a sentence without tokens, `[1, 1, H]`; of a pair `[2, 1, H]`.

    Args:
        head: The head that reads them.
        like: A tensor with the type and the device of the model.
    """
    sides = 2 if isinstance(head, Classifier) and head.comparison else 1
    return like.new_zeros(sides, 1, head.width)
