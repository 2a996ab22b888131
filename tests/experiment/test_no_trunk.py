"""A run without a trunk: the heads read the embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.experiment.plan import describe, make_plan
from tests.training.runs import epochs_of, prepared

CNN = {"verb": {"use": "c/verb", "head": {"type": "cnn", "widths": [1, 2], "maps": 4}}}
POS = {"use": "c/pos"}
NONE = {"type": "none"}


def test_a_cnn_reads_the_embedding_and_there_are_no_other_weights(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, CNN, trunk=NONE, epochs=4)
    trainer = make_trainer(experiment, corpora)
    plan = make_plan(experiment, corpora, trainer)
    assert plan.shapes == {"embedding": "[B, T, 8]"}
    assert list(plan.parameters) == ["embedding", "head verb"]
    assert plan.parameters["head verb"] == 4 * (8 * 1 + 1) + 4 * (8 * 2 + 1) + 2 * (8 + 1)
    assert "trunk" not in "".join(describe(plan))
    losses = [epoch.losses["verb"] for epoch in epochs_of(trainer.run())]
    assert losses[-1] < losses[0]


def test_it_is_the_model_whose_head_reads_layer_0_of_a_trunk(tmp_path: Path) -> None:
    """The same word vectors and filters give the same scores, with and without a trunk."""
    without, corpora = prepared(tmp_path, CNN, trunk=NONE)
    beside, _ = prepared(tmp_path, {"verb": {**CNN["verb"], "layer": 0}})
    own = {n: w for n, w in beside.model.state_dict().items() if not n.startswith("sharing.")}
    without.model.load_state_dict(own)
    examples = corpora["c"].splits["dev"].examples(range(6))
    for experiment in (without, beside):
        experiment.model.eval()
    losses = [
        experiment.model(experiment.batcher.batch(examples, ["verb"])).losses["verb"]
        for experiment in (without, beside)
    ]
    assert torch.equal(*losses)


def test_a_tagger_needs_a_trunk_unless_it_reads_layer_0(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trunk: missing: the tagger of 'pos' needs a trunk"):
        prepared(tmp_path, {"pos": POS}, trunk=NONE)
    prepared(tmp_path, {"pos": {**POS, "layer": 0}}, trunk=NONE)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ({}, {"sharing": "soft"}, "sharing: 'soft' shares the layers of a trunk, and the run has"),
        ({}, {"sharing": "none"}, "sharing: 'none' shares the layers of a trunk, and the run has"),
        ({}, {"fine_tuning": {"frozen": ["trunk"]}}, "the run has no trunk to freeze"),
        ({"layer": 1}, {}, "tasks.verb.layer: the trunk has layers 0 .* to 0, got 1"),
        ({"layer": "mix"}, {}, "tasks.verb.layer: a model without a trunk has no layers to mix"),
        (
            {},
            {"weighting": "pcgrad", "fine_tuning": {"frozen": ["embedding"]}},
            "weighting: 'pcgrad' needs shared trainable parameters",
        ),
    ],
)
def test_parts_that_need_layers_say_so(
    task: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    tasks = {"verb": CNN["verb"] | task, "other": CNN["verb"]}
    with pytest.raises(ConfigError, match=message):
        make_trainer(*prepared(tmp_path, tasks, trunk=NONE, **options))
