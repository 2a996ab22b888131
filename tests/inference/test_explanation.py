"""Explanations of predictions: confidences and attention weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.data.windows import windows
from mtl.errors import MtlError
from mtl.heads import (
    AttentionClassifier,
    CRFTagger,
    Head,
    LabelSet,
    Number,
    Pairs,
    PoolClassifier,
    SoftmaxTagger,
)
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.task_prediction import TaskPrediction
from mtl.targets import LabelSetTarget, NumberTarget, SentenceLabelTarget, TokenLabelTarget
from mtl.text.example import Example
from tests.inference.untrained import text, untrained

IOBES = ["O", "B-X", "I-X", "E-X", "S-X"]
HEADS = {
    "pos": lambda: SoftmaxTagger(6, ["D", "N", "V"], attention="additive"),
    "ner": lambda: CRFTagger(6, IOBES, scheme="iobes", constrained=True),
    "chunk": lambda: SoftmaxTagger(6, ["O", "B-X", "I-X"]),
    "kind": lambda: AttentionClassifier(6, ["p", "q"]),
    "set": lambda: AttentionClassifier(6, LabelSet("xyz"), hops=2),
    "number": lambda: PoolClassifier(6, Number(50.0, 10.0), attention="multi_head"),
    "pair": lambda: AttentionClassifier(6, Pairs(["yes", "no"])),
}
TARGETS = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "ner": TokenLabelTarget(IOBES, scheme="iobes"),
    "chunk": TokenLabelTarget(["O", "B-X", "I-X"]),
    "kind": SentenceLabelTarget(["p", "q"]),
    "set": LabelSetTarget("xyz"),
    "number": NumberTarget(50.0, 10.0),
    "pair": SentenceLabelTarget(["yes", "no"]),
}
SINGLE = [task for task in HEADS if task != "pair"]
LOOKING = ["pos", "kind", "set", "number"]
SCHEMES = {"ner": "bio", "chunk": "bio"}


def predictor(*, lookup: bool = False, **options: Any) -> Predictor:
    """An untrained model at work; with `lookup` its heads read the word vectors alone."""
    layer = 0 if lookup else -1
    return untrained(HEADS, TARGETS, layer=layer, **{"schemes": SCHEMES, **options})


def states(found: Predictor, example: Example, task: str) -> tuple[Head, Tensor, Tensor]:
    """Return the head of a task, and the hidden states and the mask that it reads."""
    batch = found.batcher.batch([example])
    hidden = found.model.encode(batch, [task]).hidden[task].detach()
    return found.model.head(task), hidden, batch.mask


def explain(
    found: Predictor, examples: list[Example], tasks: list[str], **options: Any
) -> list[dict[str, TaskPrediction]]:
    return [{**p.by_task} for p in found.run(map(Sentence, examples), tasks, **options)]


def mean_logits(found: Predictor, examples: list[Example], task: str) -> Tensor:
    answers = explain(found, examples, [task], logits=True)
    return torch.stack([answer[task].logits for answer in answers]).mean(0)


def explained(found: Predictor, example: Example, task: str) -> TaskPrediction:
    looking = [task] if found.attention(task) else []
    return explain(found, [example], [task], confidence=True, attention=looking)[0][task]


def pieces(example: Example, limit: int) -> list[Example]:
    """Return the windows of a text as texts."""
    cut = windows(len(example), limit, 4)
    return [Example(example.tokens[w.start : w.end]) for w in cut]


def test_the_confidence_of_a_tag_is_its_probability() -> None:
    found, example = predictor(), text(9)
    head, hidden, mask = states(found, example, "pos")
    answer = explained(found, example, "pos")
    probabilities = head.log_probs(hidden, mask)[0].exp()
    expected = [probabilities[t, head.labels.index(tag)] for t, tag in enumerate(answer.labels)]
    assert answer.confidence == pytest.approx([p.item() for p in expected], rel=1e-5)


def test_bio_tags_are_as_probable_as_their_iobes_tags() -> None:
    found, example = predictor(), text(9)
    torch.nn.init.constant_(found.model.head("ner").output.bias[:1], -1.0)
    head, hidden, mask = states(found, example, "ner")
    o, b, i, e, s = head.log_probs(hidden, mask)[0].exp().unbind(1)  # marginals
    sums = {"O": o, "B-X": b + s, "I-X": i + e}
    answer = explained(found, example, "ner")
    assert {"B-X", "I-X"} <= set(answer.labels)
    expected = [sums[tag][t].item() for t, tag in enumerate(answer.labels)]
    assert answer.confidence == pytest.approx(expected, rel=1e-5)


def test_spans_are_as_probable_as_their_head_says() -> None:
    found, example = predictor(), text(20)
    head, hidden, mask = states(found, example, "ner")
    (expected,) = head.spans(hidden, mask)
    answer = explained(found, example, "ner")
    assert [span for span, _ in answer.spans] == [span for span, _ in expected] != []
    certain = [confidence for _, confidence in expected]
    assert [own for _, own in answer.spans] == pytest.approx(certain, rel=1e-5)


def test_a_span_over_windows_has_the_probability_of_the_whole_text() -> None:
    whole, cut = predictor(lookup=True), predictor(lookup=True, max_length=7)
    for found in (whole, cut):
        torch.nn.init.constant_(found.model.head("chunk").output.bias[2], 2.0)
    expected, answer = (explained(found, text(40), "chunk") for found in (whole, cut))
    assert max(span.end - span.start for span, _ in answer.spans) > 7
    assert [span for span, _ in answer.spans] == [span for span, _ in expected.spans]
    certain = [own for _, own in expected.spans]
    assert [own for _, own in answer.spans] == pytest.approx(certain, rel=1e-4)


def test_tags_of_a_long_text_have_the_probability_of_their_window() -> None:
    found, example = predictor(max_length=9), text(40)
    certain = explained(found, example, "ner").confidence
    for w, piece in zip(windows(40, 9, 4), pieces(example, 9), strict=True):
        alone = explained(found, piece, "ner").confidence
        kept = alone[w.keep_start - w.start : w.keep_end - w.start]
        assert certain[w.keep_start : w.keep_end] == pytest.approx(kept, rel=1e-5)


def test_the_confidence_of_a_label_follows_from_the_mean_score() -> None:
    found, example = predictor(max_length=9), text(40)
    mean = mean_logits(found, pieces(example, 9), "kind")
    answer = explained(found, example, "kind")
    expected = mean.softmax(0)["pq".index(answer.labels)].item()
    assert answer.confidence == pytest.approx(expected, rel=1e-5)
    assert explained(predictor(), text(5), "kind").confidence >= 0.5


def test_of_sets_every_label_has_a_confidence_and_numbers_have_none() -> None:
    found, example = predictor(max_length=9), text(40)
    mean = mean_logits(found, pieces(example, 9), "set")
    expected = dict(zip("xyz", mean.sigmoid().tolist(), strict=True))
    assert explained(found, example, "set").confidence == pytest.approx(expected, rel=1e-5)
    assert explained(found, example, "number").confidence is None


def test_weights_of_a_long_text_are_means_over_its_windows() -> None:
    found, example = predictor(max_length=9), text(40)
    cut = windows(40, 9, 4)
    expected = torch.zeros(2, 40)
    for w, piece in zip(cut, pieces(example, 9), strict=True):
        head, hidden, mask = states(found, piece, "set")
        expected[:, w.start : w.end] += head.attention_weights(hidden, mask)[0].detach() / len(cut)
    weights = explained(found, example, "set").attention
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))


@pytest.mark.parametrize("task", ["pos", "number"])
def test_a_token_of_a_long_text_looks_at_the_window_that_keeps_it(task: str) -> None:
    found, example = predictor(max_length=9), text(40)
    matrix = explained(found, example, task).attention
    assert matrix.shape == ((40, 40) if task == "pos" else (4, 40, 40))
    for w, piece in zip(windows(40, 9, 4), pieces(example, 9), strict=True):
        alone = explained(found, piece, task).attention
        kept = alone[..., w.keep_start - w.start : w.keep_end - w.start, :]
        own = matrix[..., w.keep_start : w.keep_end, :]
        torch.testing.assert_close(own[..., w.start : w.end], kept)
        torch.testing.assert_close(own.sum(-1), torch.ones(own.shape[:-1]))


def test_one_hop_gives_a_weight_a_token() -> None:
    found, example = predictor(), text(6)
    head, hidden, mask = states(found, example, "kind")
    expected = head.attention_weights(hidden, mask)[0, 0]
    torch.testing.assert_close(explained(found, example, "kind").attention, expected)


def assert_alike(one: TaskPrediction, other: TaskPrediction) -> None:
    if one.confidence is not None:  # of numbers there is none
        assert one.labels == other.labels
        assert one.confidence == pytest.approx(other.confidence, rel=1e-4)
    certain = [own for _, own in other.spans or ()]
    assert [own for _, own in one.spans or ()] == pytest.approx(certain, rel=1e-4)
    torch.testing.assert_close(one.attention, other.attention)


@pytest.mark.parametrize("task", SINGLE)
def test_neighbours_and_batches_change_nothing(task: str) -> None:
    texts = [text(5), text(0), text(1, 3), text(17), text(60), text(2)]
    looking = [task] if task in LOOKING else []
    given = {"confidence": True, "attention": looking}
    together = explain(predictor(max_length=20), texts, [task], **given)
    small = explain(predictor(max_length=20, max_tokens=1), texts, [task], **given)
    for row, example in enumerate(texts):
        alone = explain(predictor(max_length=20), [example], [task], **given)[0]
        for other in (small[row], alone):
            assert_alike(together[row][task], other[task])


def test_the_labels_are_those_predicted() -> None:
    found, texts = predictor(max_length=20), [text(5), text(0), text(60)]
    answers = explain(found, texts, SINGLE, confidence=True, attention=LOOKING)
    labels = [{task: own.labels for task, own in answer.items()} for answer in answers]
    assert labels == found.predict(texts, SINGLE)


def test_both_sentences_of_a_pair_are_looked_at() -> None:
    found = predictor()
    pair = Example.pair("abc", "defgh")
    (answer,) = explain(found, [pair], ["pair"], confidence=True, attention=["pair"])
    first, hidden, mask = states(found, Example(pair.texts[1]), "pair")
    expected = first.attention_weights(hidden, mask)[0, 0]
    torch.testing.assert_close(answer["pair"].attention_b, expected)
    assert answer["pair"].attention.sum().item() == pytest.approx(1)
    assert 0.5 <= answer["pair"].confidence <= 1


def test_a_text_without_tokens_has_nothing_to_look_at() -> None:
    (own,) = explain(predictor(), [text(0)], SINGLE, confidence=True, attention=LOOKING)
    assert (own["ner"].confidence, own["ner"].spans) == ((), ())
    assert all(own[task].attention.numel() == 0 for task in LOOKING)
    assert own["kind"].confidence >= 0.5


def test_what_is_not_asked_for_is_not_said() -> None:
    (own,) = explain(predictor(), [text(3)], SINGLE)
    assert own == {task: TaskPrediction(answer.labels) for task, answer in own.items()}


def test_which_heads_look_at_what() -> None:
    found = predictor()
    looking = {task: found.attention(task) for task in HEADS}
    weights, matrices = ["kind", "set", "pair"], ["pos", "number"]
    assert [task for task, what in looking.items() if what == "weights"] == weights
    assert [task for task, what in looking.items() if what == "matrix"] == matrices
    assert looking["ner"] is None


def test_a_matrix_of_too_many_words_is_refused() -> None:
    found = predictor()
    with pytest.raises(MtlError, match=r"'pos'.* 2,049 words .* at most 2,048"):
        explain(found, [text(2049)], ["pos"], attention=["pos"])
    assert explain(found, [text(2049)], ["kind"], attention=["kind"])


def test_a_model_in_training_draws_nothing() -> None:
    found = predictor()
    before = mean_logits(found, [text(5)], "kind")
    found.model.train()
    state = torch.get_rng_state()
    explain(found, [text(5)], SINGLE, confidence=True, attention=LOOKING)
    assert torch.equal(mean_logits(found, [text(5)], "kind"), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_means_of_log_probabilities_are_made_probabilities_again() -> None:
    means = torch.tensor([[0.5, 0.2]]).log()
    found = Head.log_probs_from(SoftmaxTagger(6, ["a", "b"]), means).exp()
    torch.testing.assert_close(found, torch.tensor([[5 / 7, 2 / 7]]))
