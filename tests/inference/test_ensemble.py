"""The mean of several models, against one model, enumeration, and formulas in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.data.encoding import Batcher
from mtl.embeddings import Concatenation, WordEmbedding
from mtl.heads import (
    ConstrainedTagger,
    CRFTagger,
    Head,
    LabelSet,
    Number,
    PoolClassifier,
    SoftmaxTagger,
)
from mtl.inference.ensemble import EnsemblePredictor, join_heads
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.inference.probabilities import probabilities
from mtl.layers.constraints import Constraints
from mtl.model import MultiTaskModel
from mtl.sharing import Hard
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    SentenceLabelTarget,
    SoftLabelTarget,
    Target,
    TokenLabelTarget,
    TokenNumberTarget,
    TokenSetTarget,
    TokenSoftLabelTarget,
)
from mtl.text.example import Example
from mtl.text.spans import transitions
from mtl.text.vocabulary import WordVocabulary
from mtl.trunks import LSTMTrunk

LETTERS = "abcdefgh"
TAGS = ("O", "B-X", "I-X")
TARGETS: dict[str, Target] = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "rule": TokenLabelTarget(TAGS, scheme="bio"),
    "ner": TokenLabelTarget(TAGS, scheme="bio"),
    "strict": TokenLabelTarget(TAGS, scheme="bio"),
    "kind": SentenceLabelTarget(["p", "q", "r"]),
    "set": LabelSetTarget("pqr"),
    "number": NumberTarget(50.0, 10.0),
    "soft": SoftLabelTarget(["p", "q"]),
    "token_set": TokenSetTarget("xy"),
    "token_number": TokenNumberTarget(2.0, 3.0),
    "token_soft": TokenSoftLabelTarget(["x", "y"]),
}
TASKS = list(TARGETS)
SPANS = ("rule", "ner", "strict")
NUMERIC = ("number", "soft", "token_number", "token_soft")


def heads(size: int, targets: Mapping[str, Target]) -> dict[str, Head]:
    made: dict[str, Head] = {
        "pos": SoftmaxTagger(size, targets["pos"].labels),
        "rule": ConstrainedTagger(size, TAGS, scheme="bio"),
        "ner": CRFTagger(size, TAGS),
        "strict": CRFTagger(size, TAGS, scheme="bio", constrained=True),
        "kind": PoolClassifier(size, targets["kind"].labels, pooling="mean"),
    }
    for task in ("set", "number", "soft"):
        made[task] = PoolClassifier(size, targets[task].labelling())
    for task in ("token_set", "token_number", "token_soft"):
        made[task] = SoftmaxTagger(size, targets[task].labelling())
    return made


def member(
    seed: int,
    letters: str = LETTERS,
    *,
    size: int = 3,
    own: Mapping[str, Target] = TARGETS,
    other: Mapping[str, Head] | None = None,
    **options: Any,
) -> Predictor:
    """Return an untrained model; members differ in seed, vocabulary and width."""
    torch.manual_seed(seed)
    words = WordVocabulary.build(dict.fromkeys(letters, 1))
    embedding = Concatenation({"words": WordEmbedding({"words": words}, dim=6)})
    sharing = Hard(TASKS, lambda: LSTMTrunk(6, num_layers=1, hidden_size=size))
    made = {**heads(2 * size, own), **(other or {})}
    names, layers = {task: task for task in TASKS}, dict.fromkeys(TASKS, -1)
    model = MultiTaskModel(embedding, sharing, made, head_of=names, layers=layers)
    for name, parameter in model.heads.named_parameters():
        if "output" in name or "transitions" in name:  # far from uniform
            torch.nn.init.normal_(parameter)
    schemes = {task: "bio" if task in SPANS else None for task in TASKS}
    defaults = {"schemes": schemes, "max_length": 100, "overlap": 10}
    return Predictor(model, Batcher({"words": words}, own), **{**defaults, **options})


def joined(*members: Predictor, users: Mapping[str, Sequence[int]] | None = None) -> Any:
    every = {task: range(len(members)) for task in TASKS}
    users = {**every, **(users or {})}
    targets = {task: members[own[0]].targets[task] for task, own in users.items()}
    joints = {
        task: join_heads([members[index].head(task) for index in own], targets[task])
        for task, own in users.items()
    }
    return EnsemblePredictor(members, joints, users, targets, members[0].schemes)


def text(length: int, start: int = 0) -> Example:
    return Example(tuple(LETTERS[(start + i * i) % 8] for i in range(length)))


TEXTS = [text(5), text(0), text(1, 3), text(17), text(5, 2), text(40), text(2)]
DIFFERENT = [member(1), member(2, "abc", size=2), member(3, "hgfedcba", size=4)]


def outputs(found: Any, texts: Sequence[Example] = TEXTS) -> list[dict[str, Any]]:
    stream = found.run(map(Sentence, texts), TASKS, confidence=True)
    return [
        {task: (own[task].labels, own[task].confidence, own[task].spans) for task in TASKS}
        for own in stream
    ]


def plain(value: Any) -> list[float]:
    """Return all numbers in a value, in order."""
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in plain(value[key])]
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in plain(item)]
    return [float(value)] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("length", [100, 7])
def test_equal_members_predict_as_one_of_them(count: int, length: int) -> None:
    own = member(1, max_length=length, overlap=min(10, length // 2))
    for one, joint in zip(outputs(own), outputs(joined(*[own] * count)), strict=True):
        for task in TASKS:
            labels, expected = joint[task][0], one[task][0]
            if task in NUMERIC:
                assert plain(labels) == pytest.approx(plain(expected), abs=1e-6)
            else:
                assert labels == expected
            assert plain(joint[task][1:]) == pytest.approx(plain(one[task][1:]), abs=1e-6)


def test_batches_order_and_neighbours_change_nothing() -> None:
    found = joined(*DIFFERENT)
    together = outputs(found)
    turned = outputs(found, TEXTS[::-1])[::-1]
    alone = [outputs(found, [example])[0] for example in TEXTS]
    for own, *others in zip(together, turned, alone, strict=True):
        for other, task in itertools.product(others, TASKS):
            assert plain(other[task]) == pytest.approx(plain(own[task]), abs=1e-5)
            if task not in NUMERIC:
                assert other[task][0] == own[task][0]


def states(own: Predictor, task: str, example: Example) -> tuple[Head, Tensor, Tensor]:
    """Return the head of a task and its input for one text, without the predictor."""
    own.model.eval()
    batch = own.batcher.batch([example])
    with torch.no_grad():
        hidden = own.model.encode(batch, [task]).hidden[task]
    return own.head(task), hidden, batch.mask


def scores(own: Predictor, task: str, example: Example) -> np.ndarray:
    head, hidden, mask = states(own, task, example)
    assert isinstance(head, SoftmaxTagger | CRFTagger)
    return head.scores(hidden, mask)[0].detach().double().numpy()


def softmax(array: np.ndarray) -> np.ndarray:
    powers = np.exp(array - array.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("example", [text(6), text(1), text(17, 1)])
def test_softmax_taggers_average_probabilities(example: Example) -> None:
    expected = np.mean([softmax(scores(own, "pos", example)) for own in DIFFERENT], 0)
    found = joined(*DIFFERENT)
    labels, (probability,) = probabilities(found, [Sentence(example)], "pos")
    np.testing.assert_allclose(probability, expected, atol=1e-6)
    (own,) = found.predict([example], ["pos"])
    assert own["pos"] == tuple(labels[i] for i in expected.argmax(1))


@pytest.mark.parametrize("length", [100, 7])
def test_classifiers_average_probabilities_of_mean_scores(length: int) -> None:
    """The scores of windows are averaged first, for each member."""
    members = [member(seed, max_length=length, overlap=2) for seed in (1, 2)]
    sentences = [Sentence(example) for example in TEXTS]
    expected = np.mean(
        [np.stack(probabilities(own, sentences, "kind")[1]) for own in members], axis=0
    )
    labels, found = probabilities(joined(*members), sentences, "kind")
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-6)
    predicted = joined(*members).predict(TEXTS, ["kind"])
    assert [own["kind"] for own in predicted] == [labels[i] for i in expected.argmax(1)]


Path = tuple[int, ...]


def path_scores(members: Sequence[Predictor], task: str, example: Example) -> dict[Path, float]:
    """Return the mean score of every path over some CRFs, by enumeration."""
    total: dict[Path, float] = {}
    for own in members:
        head = own.head(task)
        assert isinstance(head, CRFTagger)
        emissions = scores(own, task, example)
        step, start, end = (x.detach().double().numpy() for x in head.steps())
        for path in itertools.product(range(len(TAGS)), repeat=len(example)):
            score = start[path[0]] + end[path[-1]]
            score += sum(emissions[i, label] for i, label in enumerate(path))
            score += sum(step[pair] for pair in itertools.pairwise(path))
            total[path] = total.get(path, 0.0) + score / len(members)
    return total


def marginals(total: Mapping[Path, float]) -> np.ndarray:
    log_z = math.log(sum(math.exp(score) for score in total.values()))
    length = len(next(iter(total)))
    found = np.zeros((length, len(TAGS)))
    for path, score in total.items():
        found[range(length), path] += math.exp(score - log_z)
    return found


@pytest.mark.parametrize("task", ["ner", "strict"])
@pytest.mark.parametrize("example", [text(6), text(1), text(5, 2)])
def test_crfs_average_potentials(task: str, example: Example) -> None:
    total = path_scores(DIFFERENT, task, example)
    found = joined(*DIFFERENT)
    _, (probability,) = probabilities(found, [Sentence(example)], task)
    np.testing.assert_allclose(probability, marginals(total), atol=1e-5)
    (own,) = found.run([Sentence(example)], [task], confidence=True)
    best = max(total, key=lambda path: total[path])
    assert _as_read(own[task].labels) == _as_read(tuple(TAGS[label] for label in best))
    log_z = math.log(sum(math.exp(score) for score in total.values()))
    for (_, first, last), confidence in own[task].spans or ():
        sharing = [score for path, score in total.items() if path[first:last] == best[first:last]]
        expected = sum(math.exp(score - log_z) for score in sharing)
        assert confidence == pytest.approx(expected, abs=1e-5)


def _as_read(tags: Sequence[str]) -> list[str]:
    """Return tags in which a span that begins with I begins with B, as predictions have it."""
    return [
        tag.replace("I-", "B-") if tag[0] == "I" and (not i or tags[i - 1] == "O") else tag
        for i, tag in enumerate(tags)
    ]


@pytest.mark.parametrize("example", [text(6), text(1), text(5, 2)])
def test_a_crf_beside_a_softmax_averages_marginals_and_obeys_the_scheme(example: Example) -> None:
    crf, other = member(1), member(2, "abc", other={"ner": SoftmaxTagger(6, TAGS)})
    torch.nn.init.normal_(other.head("ner").output.weight)  # type: ignore[union-attr,arg-type]
    parts = [marginals(path_scores([crf], "ner", example)), softmax(scores(other, "ner", example))]
    expected = np.mean(parts, 0)
    found = joined(crf, other)
    _, (probability,) = probabilities(found, [Sentence(example)], "ner")
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    allowed, start, end = (np.array(part) for part in transitions(TAGS, "bio"))
    paths = [
        path
        for path in itertools.product(range(len(TAGS)), repeat=len(example))
        if start[path[0]] and end[path[-1]] and all(allowed[p] for p in itertools.pairwise(path))
    ]
    best = max(paths, key=lambda path: np.log(expected)[range(len(path)), path].sum())
    (own,) = found.predict([example], ["ner"])
    assert own["ner"] == tuple(TAGS[label] for label in best)


def test_forbidden_transitions_of_one_member_are_forbidden() -> None:
    strict = member(1).head("strict")
    joint = join_heads([strict, member(2).head("ner")], TARGETS["ner"]).head
    assert isinstance(joint, CRFTagger)
    step, start, _ = joint.steps()
    assert step[0, 2].isneginf()
    assert start[2].isneginf()
    assert step[0, :2].isfinite().all()


def test_rules_that_exclude_each_other_are_refused() -> None:
    rules = ([("O", "O"), (None, "B-X")], [(None, "O"), (None, "I-X")])
    both = [ConstrainedTagger(2, TAGS, never=never) for never in rules]
    with pytest.raises(ValueError, match="no sequence of length 1"):
        join_heads(both, TARGETS["ner"])


def test_constraints_of_several_heads_are_united() -> None:
    one, two = Constraints(TAGS, scheme="bio"), Constraints(TAGS, never=[("O", "O")])
    steps = [(own.transitions, own.start, own.end) for own in (one, two)]
    both = Constraints.of_steps(TAGS, steps)
    assert torch.equal(both.transitions, one.transitions + two.transitions)
    assert torch.equal(both.start, one.start)


def test_a_set_has_the_labels_whose_mean_probability_exceeds_the_mean_threshold() -> None:
    members = [member(seed) for seed in (1, 2)]
    for own, thresholds in zip(members, ([0.2, 0.9, 0.5], [0.6, 0.3, 0.5]), strict=True):
        head = own.head("set")
        assert isinstance(head, PoolClassifier)
        assert isinstance(head.objective, LabelSet)
        head.objective.thresholds.copy_(torch.tensor(thresholds))
    for example in TEXTS[2:]:
        parts = [states(own, "set", example) for own in members]
        each = [h.evidence(x, mask)[0].detach().double().sigmoid().numpy() for h, x, mask in parts]
        expected = np.mean(each, 0) > np.array([0.4, 0.6, 0.5])
        (found,) = joined(*members).predict([example], ["set"])
        assert found["set"] == frozenset(np.array(list("pqr"))[expected])


def test_numbers_are_averaged_in_their_own_unit() -> None:
    """Members may have been trained on data with another mean and deviation."""
    scaled = {**TARGETS, "number": NumberTarget(-20.0, 3.0)}
    members = [member(1), member(2, own=scaled)]
    head = members[1].head("number")
    assert isinstance(head, PoolClassifier)
    assert isinstance(head.objective, Number)
    each = [[row["number"] for row in own.predict(TEXTS, ["number"])] for own in members]
    found = [row["number"] for row in joined(*members).predict(TEXTS, ["number"])]
    assert found == pytest.approx(np.mean(each, 0).tolist(), rel=1e-6)


def test_distributions_are_averaged() -> None:
    each = [[row["soft"] for row in own.predict(TEXTS, ["soft"])] for own in DIFFERENT]
    found = [row["soft"] for row in joined(*DIFFERENT).predict(TEXTS, ["soft"])]
    for own, *rows in zip(found, *each, strict=True):
        for label in "pq":
            assert own[label] == pytest.approx(np.mean([row[label] for row in rows]), abs=1e-6)


def test_a_task_is_predicted_by_the_members_that_have_it() -> None:
    found = joined(*DIFFERENT, users={"pos": [1], "kind": [0, 2]})
    assert found.predict(TEXTS, ["pos"]) == DIFFERENT[1].predict(TEXTS, ["pos"])
    together, pair = found.predict(TEXTS, ["kind", "pos"]), joined(DIFFERENT[0], DIFFERENT[2])
    expected = pair.predict(TEXTS, ["kind"])
    assert [own["kind"] for own in together] == [own["kind"] for own in expected]


def test_members_with_shorter_windows_decide_on_the_windows() -> None:
    found = joined(member(1, max_length=50, overlap=20), member(2, max_length=9, overlap=2))
    assert (found.max_length, found.overlap) == (9, 8)


def test_models_are_put_back_into_their_mode() -> None:
    own = member(1)
    own.model.train()
    joined(own, member(2)).predict(TEXTS, ["pos"])
    assert own.model.training
