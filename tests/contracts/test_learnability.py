"""Every trunk with every head learns twenty sentences by heart.

The quick tests have each head with one trunk, and each trunk with one tagger.
"""

from __future__ import annotations

import pytest
import torch

from mtl.data.encoding import Batcher
from mtl.embeddings import Concatenation, WordEmbedding
from mtl.heads import HEADS, Pairs
from mtl.inference.predictor import Predictor
from mtl.model import MultiTaskModel
from mtl.sharing import Hard
from mtl.targets import LabelSetTarget, NumberTarget, SentenceLabelTarget, Target, TokenLabelTarget
from mtl.text.example import Example, Labels
from mtl.text.vocabulary import WordVocabulary
from mtl.trunks import TRUNKS
from tests.contracts.variants import OfNumbers, OfSets, Variant, over, variants, with_forms

SIDES = (True, False, "interleaved")
TRUNK_OPTIONS = {
    "lstm": [{"hidden_size": 16, "bidirectional": side} for side in SIDES]
    + [{"hidden_size": 16, "layer_norm": True}],
    "gru": [{"hidden_size": 32, "bidirectional": side} for side in SIDES]
    + [{"hidden_size": 32, "connections": "highway"}],
    "cell": [
        {"hidden_size": 32, "num_layers": 1, "cell": cell}
        for cell in ("rhn", "nas", "peephole", "bc3")
    ],
    "conv": [
        {"hidden_size": 16, "num_layers": 2, "activation": kind} for kind in ("maxout", "gated")
    ],
    "transformer": [
        {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "feed_forward": 32, "positions": 8}
    ],
}
HEAD_OPTIONS = {"cnn": [{"maps": 16}], "deep_cnn": [{"layers": (1, 1), "maps": 16}]}
# Without a trunk no head sees the word before.
LAYERED = [variant for variant in variants(TRUNKS, TRUNK_OPTIONS) if variant.cls.layered]
trunks = over(LAYERED)
# The trunk learns against an adversary; tests/heads/test_domain*.py test what they learn.
LEARNERS = [variant for variant in variants(HEADS, HEAD_OPTIONS) if not variant.cls.adversarial]
ALL_HEADS = with_forms(LEARNERS)
every_pair = pytest.mark.parametrize(
    ("trunk", "head"),
    [
        pytest.param(
            trunk,
            head,
            marks=[pytest.mark.slow]
            if trunk is not LAYERED[0] and head is not ALL_HEADS[0]
            else [],
            id=f"{trunk}-{head.name}",
        )
        for trunk in LAYERED
        for head in ALL_HEADS
    ],
)


def sentences() -> list[Example]:
    """Twenty sentences; a tag depends on the word before, so words alone do not suffice."""
    examples = []
    for i in range(20):
        tokens = tuple("abcde"[(i * i + i * j + j) % 5] for j in range(1 + i % 6))
        tags = tuple("XYZ"[("_abcde".index(before)) % 3] for before in ("_", *tokens[:-1]))
        whole = {"kind": "pq"[i % 2], "set": frozenset("pqr"[: i % 4]), "number": float(i % 4)}
        examples.append(Example((f"w{i}", *tokens), {"tags": ("X", *tags), **whole}))
    return examples


def answers(head: Variant) -> tuple[str, Target]:
    """What the head learns of the sentences, and its numbering."""
    if isinstance(head, OfSets):
        return "set", LabelSetTarget("pqr")
    if isinstance(head, OfNumbers):
        return "number", NumberTarget(0.0, 1.0)
    if head.cls.level == "sentence":
        return "kind", SentenceLabelTarget("pq")
    return "tags", TokenLabelTarget("XYZ")


def made(trunk: Variant, head: Variant) -> tuple[MultiTaskModel, Batcher]:
    """A model without dropout, for the labels that suit the head."""
    words = WordVocabulary.build({token: 1 for e in sentences() for token in e.tokens})
    vocabulary = answers(head)[1]
    embedding = Concatenation({"words": WordEmbedding({"words": words}, dim=16)})

    def still(variant: Variant, *given: object) -> torch.nn.Module:
        off = {} if variant.option("dropout") is None else {"dropout": 0.0}
        return variant.make(*given, **off)

    sharing = Hard(["task"], lambda: still(trunk, 16))
    heads = {"task": still(head, sharing.sizes[-1], vocabulary.labels)}
    model = MultiTaskModel(embedding, sharing, heads, head_of={"task": "task"}, layers={"task": -1})
    return model, Batcher({"words": words}, {"task": vocabulary})


def predicted(model: MultiTaskModel, batcher: Batcher, examples: list[Example]) -> list[Labels]:
    """Return the labels that the model predicts for each sentence."""
    predictor = Predictor(model, batcher, schemes={}, max_length=100, overlap=10)
    return [labels["task"] for labels in predictor.predict(examples, ["task"])]


@every_pair
def test_twenty_sentences_are_learnt_by_heart(trunk: Variant, head: Variant) -> None:
    model, batcher = made(trunk, head)
    field, _ = answers(head)
    examples = [Example(e.tokens, {"task": e.labels[field]}) for e in sentences()]
    batch = batcher.batch(examples, ["task"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40 if field in ("tags", "kind") else 80):
        optimizer.zero_grad()
        model(batch).losses["task"].mean().backward()
        optimizer.step()
    found = predicted(model, batcher, examples)
    gold = [e.labels["task"] for e in examples]
    assert found == (pytest.approx(gold, abs=0.5) if field == "number" else gold)


@trunks
def test_twenty_pairs_are_learnt_by_heart(variant: Variant) -> None:
    (head,) = (learner for learner in LEARNERS if learner.name == "pool")
    model, batcher = made(variant, head)
    width = model.head("task").in_features
    model.heads["task"] = head.make(width, Pairs(["p", "q"]), dropout=0.0)
    examples = [
        Example.pair(e.tokens[:1], e.tokens, {"task": e.labels["kind"]}) for e in sentences()
    ]
    batch = batcher.batch(examples, ["task"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model(batch).losses["task"].mean().backward()
        optimizer.step()
    assert predicted(model, batcher, examples) == [e.labels["task"] for e in examples]
