"""Weights of words for answers, against closed forms, differences and brute force."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mtl
from mtl.data.batch import Batch
from mtl.errors import MtlError
from mtl.heads import (
    AttentionClassifier,
    CRFTagger,
    LabelSet,
    Number,
    Pairs,
    PoolClassifier,
    SoftmaxTagger,
)
from mtl.inference.attribution import explain
from mtl.inference.explanation import Attribution, Explanation
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    SentenceLabelTarget,
    SoftLabelTarget,
    TokenLabelTarget,
    TokenNumberTarget,
    TokenSetTarget,
)
from mtl.targets.soft import SoftLabel
from mtl.text.example import Example
from mtl.trunks import NoTrunk
from tests import hub
from tests.inference.untrained import text, untrained

IOBES = ["O", "B-X", "I-X", "E-X", "S-X"]
HEADS = {
    "pos": lambda: SoftmaxTagger(6, ["D", "N", "V"], attention="additive"),
    "ner": lambda: CRFTagger(6, IOBES, scheme="iobes", constrained=True),
    "chunk": lambda: SoftmaxTagger(6, ["O", "B-X", "I-X"]),
    "kind": lambda: AttentionClassifier(6, ["p", "q", "r"]),
    "set": lambda: AttentionClassifier(6, LabelSet("xyz"), hops=2),
    "soft": lambda: PoolClassifier(6, SoftLabel(["p", "q"])),
    "number": lambda: PoolClassifier(6, Number(50.0, 10.0), attention="multi_head"),
    "scores": lambda: SoftmaxTagger(6, Number(5.0, 2.0)),
    "traits": lambda: SoftmaxTagger(6, LabelSet("xyz")),
    "pair": lambda: AttentionClassifier(6, Pairs(["yes", "no"])),
}
TARGETS = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "ner": TokenLabelTarget(IOBES, scheme="iobes"),
    "chunk": TokenLabelTarget(["O", "B-X", "I-X"]),
    "kind": SentenceLabelTarget(["p", "q", "r"]),
    "set": LabelSetTarget("xyz"),
    "soft": SoftLabelTarget(["p", "q"]),
    "number": NumberTarget(50.0, 10.0),
    "scores": TokenNumberTarget(5.0, 2.0),
    "traits": TokenSetTarget("xyz"),
    "pair": SentenceLabelTarget(["yes", "no"]),
}
SINGLE = [task for task in HEADS if task != "pair"]
SCHEMES = {"ner": "bio", "chunk": "bio"}
METHODS = ["gradient", "occlusion", "integrated"]


def predictor(trunk: Any = None, **options: Any) -> Predictor:
    """An untrained model at work."""
    found = untrained(HEADS, TARGETS, trunk=trunk, **{"schemes": SCHEMES, **options})
    with torch.no_grad():  # scores of untrained heads are almost equal
        for weights in found.model.parameters():
            weights.mul_(3)
    return found


def explained(
    found: Predictor, examples: Sequence[Example], tasks: Sequence[str], **options: Any
) -> list[Explanation]:
    given = {"by_sentence": (), "method": "gradient", **options}
    predictions = found.run(map(Sentence, examples), tasks, confidence=True)
    return list(explain(found, predictions, tasks, **given))


def flat(explanations: Sequence[Explanation]) -> list[Attribution]:
    return [a for own in explanations for row in own.by_task.values() for a in row]


def all_weights(attributions: Sequence[Attribution]) -> Tensor:
    return torch.tensor([[*a.weights, *(a.weights_b or ())] for a in attributions]).double()


class _Gates(nn.Module):
    """An embedding whose vectors are multiplied by one number per place of a batch of one row."""

    def __init__(self, inner: nn.Module, gates: Tensor) -> None:
        super().__init__()
        self.inner, self.gates = inner, gates
        self.contextual, self.size, self.head_size = False, inner.size, 0

    def forward(self, features: Any, mask: Tensor) -> Any:
        found = self.inner(features, mask)
        return found._replace(vectors=found.vectors * self.gates[:, None])


def hidden_of(found: Predictor, example: Example, task: str, gates: Tensor) -> tuple[Any, Tensor]:
    """Return head and hidden states in float64, by a model whose embedding has the gates in it."""
    model = copy.deepcopy(found.model).double().eval()
    model.embedding = _Gates(model.embedding, gates).eval()
    batch: Batch = found.batcher.batch([example])
    return model.head(task), model.encode(batch, [task]).hidden[task]


def log_odds(log_probs: Tensor, chosen: list[int]) -> Tensor:
    p = log_probs.exp()[chosen].sum()
    return (p / (1 - p)).log()


@torch.no_grad()
def score(found: Predictor, example: Example, task: str, answer: Attribution, gates: Tensor) -> Any:
    """Return the explained score, written out by hand for each kind of head."""
    head, hidden = hidden_of(found, example, task, gates)
    mask = torch.ones(hidden.shape[:2], dtype=torch.bool)
    if task in ("kind", "soft"):
        return log_odds(head.log_probs(hidden, mask)[0], [head.labels.index(answer.answer)])
    if task == "set":
        return head.scores(hidden, mask)[0, head.labels.index(answer.answer)]
    if task == "number":
        return 50 + 10 * head.scores(hidden, mask)[0, 0]
    start, end = answer.tokens
    if task == "scores":
        return 5 + 2 * head.scores(hidden, mask)[0, start, 0]
    if task == "traits":
        return head.scores(hidden, mask)[0, start, head.labels.index(answer.answer)]
    if task == "pos":
        return log_odds(head.log_probs(hidden, mask)[0, start], [head.labels.index(answer.answer)])
    full = torch.ones(len(example.tokens), dtype=torch.float64)
    whole_head, whole = hidden_of(found, example, task, full)
    path = whole_head.decode(whole, mask)
    chosen = torch.zeros_like(mask)
    chosen[0, start:end] = True
    p = head.log_prob_of(head.scores(hidden, mask), mask, path, chosen)[0].exp()
    return (p / (1 - p)).log()


def example_of(task: str) -> tuple[Predictor, Example, list[Attribution]]:
    """Return a model and a sentence for which a task has answers, and their gradients."""
    for seed in range(20):
        found, example = predictor(seed=seed), text(4, seed)
        if answers := flat(explained(found, [example], [task])):
            return found, example, answers[:3]
    raise AssertionError(task)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("task", SINGLE)
def test_gradients_equal_finite_differences(task: str) -> None:
    found, example, answers = example_of(task)
    step, length = 1e-5, len(example)
    for answer in answers:
        for token in range(length):
            shift = step * torch.eye(length, dtype=torch.float64)[token]
            above, below = (
                score(found, example, task, answer, 1 + sign * shift) for sign in (1, -1)
            )
            difference = float((above - below) / (2 * step))
            assert answer.weights[token] == pytest.approx(difference, rel=1e-5, abs=1e-8)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("task", SINGLE)
def test_occlusion_equals_one_evaluation_per_word(task: str) -> None:
    found, example, _ = example_of(task)
    for answer in flat(explained(found, [example], [task], method="occlusion"))[:3]:
        ones = torch.ones(len(example), dtype=torch.float64)
        whole = float(score(found, example, task, answer, ones))
        assert answer.score == pytest.approx(whole, rel=1e-9)
        for token in range(len(example)):
            without = ones.clone()
            without[token] = 0
            expected = whole - float(score(found, example, task, answer, without))
            assert answer.weights[token] == pytest.approx(expected, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("task", SINGLE)
def test_integrated_gradients_add_up_to_the_difference_of_scores(task: str) -> None:
    found, example, _ = example_of(task)
    for answer in flat(explained(found, [example], [task], method="integrated"))[:3]:
        ones = torch.ones(len(example), dtype=torch.float64)
        ends = [float(score(found, example, task, answer, gates)) for gates in (ones, 0 * ones)]
        # The maximum over tokens has kinks, at which quadrature is less exact.
        exact = {"rel": 0.03} if task in ("soft", "number") else {"abs": 1e-6}
        assert sum(answer.weights) == pytest.approx(ends[0] - ends[1], **exact)
        assert (answer.score, answer.baseline) == pytest.approx(ends, rel=1e-9)
        total = sum(answer.weights) - (answer.score - answer.baseline)
        assert answer.gap == pytest.approx(total, abs=1e-12)


def test_the_gap_shrinks_with_the_number_of_steps() -> None:
    found = predictor()
    gaps = [
        abs(flat(explained(found, [text(7)], ["kind"], method="integrated", steps=steps))[0].gap)
        for steps in (1, 4, 16)
    ]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def linear() -> Predictor:
    """A model whose score is linear in the vectors of words: no trunk, and a mean over words."""
    found = predictor(lambda: NoTrunk(6))
    found.model.heads["number"] = PoolClassifier(6, Number(0.0, 1.0), pooling="mean")
    return found


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_agree_with_the_closed_form_of_a_linear_model(method: str) -> None:
    found, example = linear(), text(5)
    (answer,) = flat(explained(found, [example], ["number"], method=method))
    vectors = found.model.embedding(
        *(lambda b: (b.features, b.mask))(found.batcher.batch([example]))
    )
    head = found.model.head("number")
    expected = vectors.vectors[0].detach().double() @ head.output.weight[0].detach().double() / 5
    torch.testing.assert_close(all_weights([answer])[0], expected, rtol=1e-6, atol=1e-9)
    bias = head.output.bias[0].item()
    assert answer.score == pytest.approx(bias + float(expected.sum()), rel=1e-6)
    assert answer.baseline in (None, pytest.approx(bias, rel=1e-6))


@pytest.mark.parametrize("method", METHODS)
def test_neither_batch_size_nor_other_sentences_change_a_weight(method: str) -> None:
    examples, tasks = [text(5), text(2, 3), text(6, 1)], ["ner", "chunk", "kind", "number"]
    given = {"method": method, "steps": 3}
    together = flat(explained(predictor(max_tokens=10_000), examples, tasks, **given))
    small = flat(explained(predictor(max_tokens=1), examples, tasks, **given))
    alone = [
        answer
        for example in examples
        for answer in flat(explained(predictor(), [example], tasks, **given))
    ]
    assert len(together) == len(small) == len(alone) > 6
    for first, *others in zip(together, small, alone, strict=True):
        for other in others:
            assert first.weights == pytest.approx(other.weights, rel=1e-9, abs=1e-12)


def test_a_text_of_several_windows_has_the_mean_score_of_its_windows() -> None:
    found, example = predictor(max_length=6, overlap=2), text(10)
    (answer,) = flat(explained(found, [example], ["number"]))
    parts = [
        flat(explained(found, [Example(example.tokens[start : start + 6])], ["number"]))[0]
        for start in (0, 4)
    ]
    assert answer.score == pytest.approx(sum(part.score for part in parts) / 2)
    expected = torch.zeros(10, dtype=torch.float64)
    for start, part in zip((0, 4), parts, strict=True):
        expected[start : start + 6] += all_weights([part])[0] / 2
    torch.testing.assert_close(all_weights([answer])[0], expected)


def test_a_tag_of_a_long_text_depends_on_its_own_window_alone() -> None:
    found, example = predictor(max_length=6, overlap=2), text(10)
    answers = flat(explained(found, [example], ["pos"], method="occlusion"))
    first, second = (
        flat(explained(found, [Example(tokens)], ["pos"], method="occlusion"))
        for tokens in (example.tokens[:6], example.tokens[4:])
    )
    none = (0, 0, 0, 0)
    expected = [
        *((*alone.weights, *none) for alone in first[:5]),
        *((*none, *alone.weights) for alone in second[1:]),
    ]
    assert len(answers) == len(expected) == 10
    for answer, weights in zip(answers, expected, strict=True):
        assert answer.weights == pytest.approx(weights, abs=1e-12)


def test_a_span_across_windows_has_the_log_odds_of_its_confidence() -> None:
    found, example = predictor(max_length=6, overlap=2), text(10)
    nn.init.constant_(found.model.head("chunk").output.bias[2], 2.0)
    (prediction,) = found.run([Sentence(example)], ["chunk"], confidence=True)
    answers = flat(explained(found, [example], ["chunk"]))
    assert max(end - start for start, end in (a.tokens for a in answers)) > 6
    certain = [torch.tensor(a.score).sigmoid().item() for a in answers]
    assert certain == pytest.approx([s.confidence for s in prediction.spans["chunk"]], rel=1e-4)


def test_a_certain_span_has_finite_log_odds() -> None:
    found = predictor()
    nn.init.constant_(found.model.head("chunk").output.bias[1], 1000.0)
    answers = flat(explained(found, [text(3)], ["chunk"]))
    assert [a.tokens for a in answers] == [(0, 1), (1, 2), (2, 3)]
    assert all(math.isfinite(a.score) for a in answers)
    assert all_weights(answers).isfinite().all()


def test_a_task_that_reads_sentences_has_the_mean_score_of_the_sentences() -> None:
    found, sentence = predictor(), Sentence.from_text("a b c . D e f g .")
    predictions = found.run([sentence], ["number"], confidence=True, by_sentence=["number"])
    (own,) = explain(found, predictions, ["number"], ["number"], "gradient")
    parts = flat(explained(found, [Example(tuple(t)) for t in ("abc.", "Defg.")], ["number"]))
    (answer,) = own["number"]
    assert answer.score == pytest.approx(sum(part.score for part in parts) / 2)
    expected = torch.tensor([w / 2 for part in parts for w in part.weights]).double()
    torch.testing.assert_close(all_weights([answer])[0], expected)


def test_the_answers_of_a_text_are_those_of_its_prediction() -> None:
    found, example = predictor(), text(5)
    nn.init.constant_(found.model.head("set").output.bias, 9.0)
    (prediction,) = found.run([Sentence(example)], ["set", "soft"], confidence=True)
    (own,) = explained(found, [example], ["set", "soft"])
    assert [a.answer for a in own["set"]] == ["x", "y", "z"]
    shares = prediction.labels["soft"]
    assert [a.answer for a in own["soft"]] == [max(shares, key=shares.get)]


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_variants_have_the_size_of_other_batches(method: str) -> None:
    found, sizes = predictor(max_tokens=20), []
    found.model.embedding.register_forward_pre_hook(lambda _, own: sizes.append(own[1].numel()))
    explained(found, [text(5)], ["kind"], method=method)
    assert len(sizes) > 1
    assert max(sizes) <= 20


def test_pairs_have_weights_for_both_sentences() -> None:
    found, pair = predictor(), Example.pair("abc", "defgh")
    for method in METHODS:
        (answer,) = flat(explained(found, [pair], ["pair"], method=method))
        assert (len(answer.weights), len(answer.weights_b)) == (3, 5)
    assert abs(answer.gap) < 1e-2  # |u − v| has kinks


def test_two_equal_sentences_of_a_pair_are_occluded_alike() -> None:
    # u, v, |u − v| and u ∘ v with equal weights of u and v do not depend on their order.
    found, same = predictor(), Example.pair("abc", "abc")
    weight = found.model.heads["pair"].output.weight
    with torch.no_grad():
        weight[:, 6:12] = weight[:, :6]
    (answer,) = flat(explained(found, [same], ["pair"], method="occlusion"))
    assert answer.weights == pytest.approx(answer.weights_b, rel=1e-9)


def test_the_score_of_a_span_belongs_to_its_confidence() -> None:
    found, example, _ = example_of("ner")
    answers = flat(explained(found, [example], ["ner"]))
    (prediction,) = found.run([Sentence(example)], ["ner"], confidence=True)
    assert [a.tokens for a in answers] == [span.tokens for span in prediction.spans["ner"]]
    for answer, span in zip(answers, prediction.spans["ner"], strict=True):
        expected = torch.tensor(answer.score).sigmoid().item()
        assert span.confidence == pytest.approx(expected, rel=1e-4)


def test_a_word_selects_its_tags() -> None:
    found, example = predictor(), Example(tuple("abca"))
    answers = flat(explained(found, [example], ["ner", "pos"], token="a"))
    assert [a.tokens for a in answers] == [(0, 1), (3, 4)] * 2
    assert not flat(explained(found, [example], ["pos"], token="z"))


def test_the_tag_of_a_span_task_is_in_the_output_scheme() -> None:
    found, example, _ = example_of("ner")
    (prediction,) = found.run([Sentence(example)], ["ner"], confidence=True)
    for token, word in enumerate(example.tokens):
        answers = flat(explained(found, [example], ["ner"], token=word))
        (own,) = [a for a in answers if a.tokens == (token, token + 1)]
        certain = prediction["ner"].confidence[token]
        assert torch.tensor(own.score).sigmoid().item() == pytest.approx(certain, rel=1e-4)
        assert own.answer == prediction.labels["ner"][token]


def test_a_text_without_words_has_no_weights() -> None:
    assert not flat(explained(predictor(), [Example(())], SINGLE))


def test_the_model_is_not_changed() -> None:
    found = predictor()
    before = copy.deepcopy(found.model.state_dict())
    explained(found, [text(5)], SINGLE, method="integrated")
    after = found.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(
        weights.requires_grad and weights.grad is None for weights in found.model.parameters()
    )


def test_unknown_methods_and_no_steps_are_errors() -> None:
    with pytest.raises(MtlError, match="did you mean 'gradient'"):
        explained(predictor(), [text(3)], ["pos"], method="gradients")
    with pytest.raises(MtlError, match="steps: expected at least 1, got 0"):
        explained(predictor(), [text(3)], ["pos"], steps=0)


def test_a_token_needs_a_task_with_labels_of_words() -> None:
    with pytest.raises(MtlError, match="no task labels words, so 'x' has no tags"):
        explained(predictor(), [text(3)], ["kind"], token="x")


def test_words_of_a_transformer_have_the_weights_of_their_subwords(tmp_path: Path) -> None:
    folder = hub.bert(tmp_path / "bert")
    rows = [
        {"tokens": ["the", "cat", "sat"], "kind": "x"},
        {"tokens": ["a", "dog", "ran", "up"], "kind": "y"},
    ]
    kind = {"labels": "kind", "head": "pool", "metric": "accuracy"}
    config = {
        "corpora": {"data": {"tasks": {"kind": kind}}},
        "embedding": {"characters": {"dim": 4, "filters": 3}},
        "trunk": {"type": "transformer", "name": str(folder)},
        "tasks": {"kind": {"use": "data/kind"}},
        "training": {"epochs": 1, "max_length": 20, "overlap": 4},
    }
    data = {"data": {"train": rows * 4}}
    model = mtl.train(config, data=data, output=tmp_path / "run", progress=False)
    (own,) = model.explain([["the", "dogs", "ran"]], method="integrated", steps=100)
    (answer,) = own["kind"]
    assert len(answer.weights) == 3
    assert answer.gap == pytest.approx(0, abs=0.03 * abs(answer.score - answer.baseline) + 1e-3)
    # The special tokens keep their vectors.
    certain = torch.tensor(answer.score).sigmoid().item()
    assert certain == pytest.approx(own.prediction["kind"].confidence, rel=1e-4)
    (own,) = model.explain([["the", "dogs", "ran"]], method="occlusion")
    assert all(own["kind"][0].weights)
    # The characters reach the head beside the transformer, and are left out with their word.
    found = model.predictor.model
    width = found.head("kind").in_features
    with torch.no_grad():
        weights = found.head("kind").output.weight.unflatten(1, (-1, width))
        weights[..., : -found.embedding.head_size] = 0
    (own,) = model.explain([["the", "dogs", "ran"]], method="occlusion")
    assert any(own["kind"][0].weights)
