"""What heads learn from teachers: certain teachers, paths, padding, and the order of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtl.heads import CRFTagger, Head, PoolClassifier, SoftmaxTagger
from mtl.ops.crf import crf_log_partition
from mtl.ops.crf_paths import crf_n_best, crf_score
from mtl.targets.teacher import SoftTargets, TeacherOutput, WeightedLabels
from tests.contracts.variants import shaken

LENGTHS = [3, 1, 4]
MASK = torch.arange(4) < torch.tensor(LENGTHS).unsqueeze(1)
LABELS = ["O", "B-X", "I-X"]


def head(cls: type[Head]) -> Head:
    made = shaken(cls(5, LABELS)).double().eval()  # type: ignore[call-arg, arg-type]
    return made


def hidden() -> Tensor:
    return torch.randn(3, 4, 5, dtype=torch.float64)


def soft(cls: type[Head]) -> SoftTargets:
    shape = (3, 3) if cls.level == "sentence" else (3, 4, 3)
    return SoftTargets(torch.randn(shape, dtype=torch.float64).log_softmax(-1), 2.0)


HEADS = [SoftmaxTagger, CRFTagger, PoolClassifier]


@pytest.mark.parametrize("cls", HEADS)
def test_a_head_imitates_each_sentence_by_itself(cls: type[Head]) -> None:
    made, states, teacher = head(cls), hidden(), soft(cls)
    whole = teacher.loss(made, states, MASK)
    dirty = torch.where(MASK.unsqueeze(2), states, 1e3)
    torch.testing.assert_close(teacher.loss(made, dirty, MASK), whole)
    for row, length in enumerate(LENGTHS):
        own = teacher.log_probs[row : row + 1]
        own = own if own.ndim == 2 else own[:, :length]
        real = torch.ones(1, length, dtype=torch.bool)
        alone = SoftTargets(own, 2.0).loss(made, states[row : row + 1, :length], real)
        torch.testing.assert_close(alone[0], whole[row])


@pytest.mark.parametrize("cls", HEADS)
def test_gradients_are_those_of_finite_differences(cls: type[Head]) -> None:
    made, teacher = head(cls), soft(cls)
    states = hidden().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: teacher.loss(made, x, MASK), states)


@pytest.mark.parametrize("cls", [SoftmaxTagger, CRFTagger])
def test_a_certain_teacher_is_a_gold_label(cls: type[Head]) -> None:
    made, states, labels = head(cls), hidden(), torch.randint(3, (3, 4))
    certain = torch.nn.functional.one_hot(labels, 3).double().clamp(min=1e-30).log()
    expected = made.loss(states, MASK, labels)
    torch.testing.assert_close(SoftTargets(certain, 1.0).loss(made, states, MASK), expected)
    one = WeightedLabels(labels.unsqueeze(1), torch.ones(3, 1).double())
    torch.testing.assert_close(one.loss(made, states, MASK), expected)


def test_paths_count_by_their_probability() -> None:
    made, states = head(CRFTagger), hidden()
    assert isinstance(made, CRFTagger)
    teacher = torch.randn(3, 4, 3).double(), *(torch.randn(n).double() for n in [(3, 3), 3, 3])
    paths, scores = crf_n_best(*teacher, MASK, 3)
    weights = (scores - scores.logsumexp(1, keepdim=True)).exp()
    found = WeightedLabels(paths, weights).loss(made, states, MASK)
    emissions = made.scores(states, MASK)
    own = (emissions, *made.crf.steps(), MASK)
    partition = crf_log_partition(*own)
    expected = sum(weights[:, n] * (partition - crf_score(*own, paths[:, n])) for n in range(3))
    torch.testing.assert_close(found, expected)


def test_sentences_without_an_output_are_known() -> None:
    log_probs = torch.zeros(3, 4, 3)
    log_probs[1] = torch.nan
    assert SoftTargets(log_probs, 1.0).known.tolist() == [True, False, True]
    assert SoftTargets(log_probs, 1.0).counts(MASK).tolist() == [3, 0, 4]
    weights = torch.tensor([[0.5, 0.5], [0.0, 0.0], [1.0, 0.0]])
    paths = WeightedLabels(torch.zeros(3, 2, 4, dtype=torch.long), weights)
    assert paths.counts(MASK).tolist() == [3, 0, 4]
    one: TeacherOutput = WeightedLabels(torch.zeros(3, 2, dtype=torch.long), weights)
    assert one.counts(MASK).tolist() == [1, 0, 1]
    assert one.rows(one.known).counts(MASK[:2]).tolist() == [1, 1]
