"""Errors for settings that do not fit a pretrained transformer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.errors import CheckpointError, ConfigError
from mtl.experiment import load_config, load_corpora, prepare
from tests.experiment.test_pretrained import run_file
from tests.hub import bert, written

SIZES = ["hidden_size", "num_layers", "num_heads", "feed_forward", "positions"]
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no embedding for words": (
        {"trunk.name": None, **{f"trunk.{name}": 8 for name in SIZES}},
        "embedding: expected at least one of its slots",
    ),
    "sizes that the model does not have": (
        {"trunk.num_heads": 3},
        "trunk.num_heads: {folder}/model has 2, got 3; leave it out",
    ),
    "more layers than it has": (
        {"trunk.num_layers": 4},
        "trunk.num_layers: {folder}/model has 3, got 4; leave it out",
    ),
    "a layer that it does not have": (
        {"tasks.pos.layer": 4},
        "tasks.pos.layer: the trunk has layers 0 (the embedding) to 3, got 4",
    ),
    "windows longer than it can read": (
        {"training.max_length": 23},
        "training.max_length: the trunk reads at most 22 words, got 23",
    ),
    "a model that is not there": (
        {"trunk.name": "./none"},
        "trunk.name: './none' cannot be read: ",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_of_a_run(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    bert(tmp_path / "model")
    with pytest.raises(ConfigError) as error:
        load_config(run_file(tmp_path, {}), changes)
    assert message.replace("{folder}", str(tmp_path)) in str(error.value)


def test_models_of_another_form_are_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    config = transformers.AlbertConfig(
        vocab_size=9, embedding_size=4, hidden_size=4, num_attention_heads=2, intermediate_size=4
    )
    config.save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="has the architecture 'albert'; expected an encoder"):
        load_config(run_file(tmp_path, {}))


def test_weights_that_are_a_pickle_are_not_read(tmp_path: Path) -> None:
    folder = bert(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    run = load_config(run_file(tmp_path, {}))
    with pytest.raises(ConfigError, match=r"cannot be read: .*safetensors"):
        prepare(run, load_corpora(run))


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    folder = bert(tmp_path / "model")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(100))]
    tokenizer = transformers.BertTokenizer(vocab={token: n for n, token in enumerate(tokens)})
    written(folder, tokenizer, transformers.AutoModel.from_pretrained(folder))
    run = load_config(run_file(tmp_path, {}))
    with pytest.raises(ConfigError, match="expected vectors of 105 subwords, got 73"):
        prepare(run, load_corpora(run))


def test_a_run_of_other_subwords_is_no_start(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {})
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "first")
    text = (tmp_path / "model/tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "model/tokenizer.json").write_text(text.replace('"Ada"', '"Eva"'))
    run = load_config(path, {"trunk.init": str(tmp_path / "first")})
    with pytest.raises(CheckpointError, match=r"first: reads other subwords; give both runs"):
        prepare(run, load_corpora(run))


def test_a_hub_that_cannot_be_reached_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    path = run_file(tmp_path, {})
    start = time.monotonic()
    with pytest.raises(ConfigError) as error:
        load_config(path, {"trunk.name": "nobody/nothing"})
    assert time.monotonic() - start < 15  # the library of the hub tries for 33 s
    assert "trunk.name: 'nobody/nothing' cannot be read: " in str(error.value)
    assert "http://127.0.0.1:9 cannot be reached" in str(error.value)
    assert "\n" not in str(error.value)
