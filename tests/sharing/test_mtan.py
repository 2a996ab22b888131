"""Multi-task attention network: masks of each task over the layers of one trunk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mtl.errors import ConfigError
from mtl.sharing import AttentionMasks, Hard
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import shaken
from tests.training.runs import epochs_of, prepared, trainer

X = torch.linspace(-2, 2, 40).sin().reshape(2, 5, 4).double()
MASK = torch.ones(2, 5, dtype=torch.bool)


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, num_layers=3, dropout=0)


def made() -> AttentionMasks:
    return shaken(AttentionMasks(["a", "b"], trunk, mask_size=5))


def test_liu_2019_a_mask_reads_its_layer_and_the_masked_layer_below() -> None:
    sharing = made()
    layers, _ = sharing.trunk(X, MASK)
    masked = None
    for i, attend in enumerate(sharing.masks["b"], 1):
        given = layers[i] if masked is None else torch.cat([layers[i], masked], 2)
        inner = (given @ attend[0].weight.T + attend[0].bias).clamp(min=0)
        scores = inner @ attend[2].weight.T + attend[2].bias
        masked = layers[i] / (1 + (-scores).exp())
        torch.testing.assert_close(sharing(X, MASK, ["b"])["b"].layers[i], masked)


def test_open_masks_are_hard_sharing() -> None:
    sharing = made()
    for own in sharing.masks.values():
        for attend in own:
            attend[2].bias.data.fill_(1e3)
    hard = Hard(["a", "b"], trunk).double().eval()
    hard.trunk.load_state_dict(sharing.trunk.state_dict())
    expected = hard(X, MASK, ["a"])["a"].layers
    for found in sharing(X, MASK, ["a", "b"]).values():
        torch.testing.assert_close(found.layers, expected)


def test_a_language_model_has_no_masks_that_read_ahead(tmp_path: Path) -> None:
    (tmp_path / "lm.txt").write_text("the cat sat up\n" * 8, encoding="utf-8")
    source = {"reader": {"type": "text"}, "files": {"train": "lm.txt"}}
    text = {"labels": {"text": "next"}, "head": {"type": "lm"}, "metric": "perplexity"}
    corpora = {"t": {**source, "tasks": {"lm": text}}}
    size = {"type": "lstm", "hidden_size": 4, "num_layers": 2}
    with pytest.raises(ConfigError, match="sharing: 'mtan': task 'lm' reads one of two"):
        prepared(tmp_path, {"lm": {"use": "t/lm"}}, corpora, trunk=size, sharing="mtan")


def test_it_trains_through_the_run_file(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    made = trainer(tmp_path, tasks, sharing={"type": "mtan", "mask_size": 8}, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]
