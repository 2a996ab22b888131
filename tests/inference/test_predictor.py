"""The predictor: labels of long texts, windows, batches and order."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mtl
from mtl.data.windows import windows
from mtl.heads import CRFTagger, PoolClassifier, SoftmaxTagger
from mtl.inference.cutting import CHUNK, CHUNK_CHARACTERS
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.targets import SentenceLabelTarget, TokenLabelTarget
from mtl.text.example import Example
from tests.cli import project
from tests.inference.untrained import text, untrained

LABELS = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "ner": TokenLabelTarget(["O", "B-X", "I-X", "E-X", "S-X"], scheme="iobes"),
    "kind": SentenceLabelTarget(["p", "q"]),
}
TASKS = list(LABELS)


HEADS = {
    "pos": lambda: SoftmaxTagger(6, LABELS["pos"].labels),
    "ner": lambda: CRFTagger(6, LABELS["ner"].labels),
    "kind": lambda: PoolClassifier(6, LABELS["kind"].labels, pooling="mean"),
}


def predictor(*, lookup: bool = False, **options: Any) -> Predictor:
    """An untrained model at work; with `lookup` its heads read the word vectors alone."""
    schemes = {"pos": None, "ner": "bio", "kind": None}
    defaults = {"schemes": schemes, "overlap": 10}
    return untrained(HEADS, LABELS, layer=0 if lookup else -1, **{**defaults, **options})


TEXTS = [text(5), text(0), text(1, 3), text(17), text(5, 2), text(100), text(2)]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 40), max_size=8))
def test_every_token_has_a_label_however_long_the_text(lengths: list[int]) -> None:
    found = predictor(max_length=7, overlap=2).predict([text(n) for n in lengths], TASKS)
    assert [len(p["pos"]) for p in found] == lengths
    assert [len(p["ner"]) for p in found] == lengths
    assert all(p["kind"] in ("p", "q") for p in found)


def test_neighbours_and_batches_change_nothing() -> None:
    together = predictor().predict(TEXTS, TASKS)
    alone = [predictor().predict([example], TASKS)[0] for example in TEXTS]
    small = predictor(max_tokens=1).predict(TEXTS, TASKS)
    assert together == alone == small


def test_labels_come_in_the_order_of_the_sentences() -> None:
    found = predictor().predict(TEXTS, TASKS)
    assert predictor().predict(TEXTS[::-1], TASKS) == found[::-1]


def test_a_task_asked_for_alone_has_the_same_labels() -> None:
    found = predictor().predict(TEXTS, TASKS)
    assert [p["pos"] for p in predictor().predict(TEXTS, ["pos"])] == [p["pos"] for p in found]


def test_windows_do_not_change_labels_that_need_no_context() -> None:
    whole = predictor(lookup=True).predict([text(50)], ["pos"])
    cut = predictor(lookup=True, max_length=7, overlap=3).predict([text(50)], ["pos"])
    assert cut == whole


def test_tokens_of_a_window_are_labelled_as_the_window_alone_would_be() -> None:
    example, found = text(40), predictor(max_length=9, overlap=4)
    labels = found.predict([example], ["pos"])[0]["pos"]
    for window in windows(40, 9, 4):
        piece = Example(example.tokens[window.start : window.end])
        alone = found.predict([piece], ["pos"])[0]["pos"]
        kept = slice(window.keep_start - window.start, window.keep_end - window.start)
        assert labels[window.keep_start : window.keep_end] == alone[kept]


def test_a_long_text_has_the_label_of_the_highest_mean_log_probability() -> None:
    example, found = text(40), predictor(max_length=9, overlap=4)
    total = torch.zeros(2)
    for window in windows(40, 9, 4):
        batch = found.batcher.batch([Example(example.tokens[window.start : window.end])])
        found.model.eval()
        hidden = found.model.encode(batch, ["kind"]).hidden["kind"]
        total += found.model.head("kind").log_probs(hidden, batch.mask)[0].detach()
    expected = LABELS["kind"].labels[int(total.argmax())]
    assert found.predict([example], ["kind"]) == [{"kind": expected}]


@pytest.mark.parametrize(("scheme", "tag"), [(None, "S-X"), ("bio", "B-X"), ("iobes", "S-X")])
def test_span_tags_come_in_the_scheme_asked_for(scheme: Any, tag: str) -> None:
    found = predictor(schemes={"ner": scheme})
    bias = found.model.head("ner").output.bias
    torch.nn.init.constant_(bias[LABELS["ner"].labels.index("S-X")], 100.0)
    assert found.predict([text(3)], ["ner"]) == [{"ner": (tag, tag, tag)}]


def test_unknown_words_are_labelled_too() -> None:
    found = predictor().predict([Example(("日本", "x" * 5000, "a"))], TASKS)
    assert len(found[0]["pos"]) == 3


@pytest.mark.parametrize("examples", [[], [text(0)], [text(0), text(0)]])
def test_texts_without_tokens_have_no_tags(examples: list[Example]) -> None:
    found = predictor().predict(examples, TASKS)
    assert [(p["pos"], p["ner"]) for p in found] == [((), ())] * len(examples)


@pytest.mark.parametrize("training", [True, False])
def test_predicting_leaves_the_model_as_it_was(training: bool) -> None:
    found = predictor()
    found.model.train(training)
    first = found.predict(TEXTS, TASKS)
    assert found.model.training is training
    assert found.predict(TEXTS, TASKS) == first


def test_predictions_are_the_labels_that_the_heads_decode() -> None:
    found, examples = predictor(), [text(5), text(3), text(1)]
    found.model.eval()
    batch = found.batcher.batch(examples)
    hidden = found.model.encode(batch, TASKS).hidden
    ids = {task: found.model.head(task).decode(hidden[task], batch.mask).tolist() for task in TASKS}
    for row, labels in enumerate(found.predict(examples, ["pos", "kind"])):
        assert labels["pos"] == LABELS["pos"].decode(ids["pos"][row][: len(examples[row])])
        assert labels["kind"] == LABELS["kind"].labels[ids["kind"][row]]


def test_the_stream_reads_one_chunk_ahead() -> None:
    read = []

    def sentences() -> Iterator[Sentence]:
        for number in itertools.count():
            read.append(number)
            yield Sentence(text(1 + number % 5))

    stream = predictor().run(sentences(), ["pos"], chunk_size=10)
    assert read == []
    for number, prediction in zip(range(25), stream, strict=False):
        assert len(prediction.tokens) == 1 + number % 5
        assert len(read) == 10 * (1 + number // 10)


def test_a_stream_that_is_held_leaves_the_model_in_training() -> None:
    found = predictor()
    found.model.train()
    stream = found.run(map(Sentence, TEXTS), TASKS, chunk_size=2)
    next(stream)
    assert found.model.training
    assert not torch.is_inference_mode_enabled()


def test_chunks_change_nothing() -> None:
    found = predictor(max_length=20)
    whole = [p.labels for p in found.run(map(Sentence, TEXTS), TASKS)]
    for size in (1, 2, 5):
        assert [p.labels for p in found.run(map(Sentence, TEXTS), TASKS, chunk_size=size)] == whole


class Counted(Sentence):
    """A sentence that knows how many of its kind are alive."""

    alive: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def __init__(self, example: Example) -> None:
        super().__init__(example)
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


def test_memory_does_not_grow_with_the_stream() -> None:
    found = predictor()
    sentences = (Counted(Example((f"w{number}", "a"))) for number in range(20_000))
    count = sum(1 for _ in found.run(sentences, ["pos", "kind"], confidence=True))
    assert count == 20_000
    assert Counted.most <= 2 * CHUNK
    assert Counted.alive == 0


def test_two_threads_may_share_a_predictor() -> None:
    found = predictor()
    found.model.eval()
    expected = found.predict(TEXTS * 20, TASKS)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(found.predict, TEXTS * 20, TASKS) for _ in range(8)]
        assert all(job.result() == expected for job in jobs)


def test_threads_do_not_end_the_evaluation_mode_of_others() -> None:
    """A model in training mode drops units, so that a switch in between changes labels."""
    found = predictor()
    expected = found.predict(TEXTS, TASKS)
    found.model.train()
    inside, leave = Event(), Event()

    def slow() -> None:
        with found.evaluating():
            inside.set()
            leave.wait(10)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(slow)
        assert inside.wait(10)
        assert found.predict(TEXTS, TASKS) == expected
        assert not found.model.training  # the other thread still predicts
        leave.set()
        job.result()
    assert found.model.training


def test_chunks_are_bounded_in_characters() -> None:
    """Sentences of long words are labelled a few at a time, and their words are not kept."""
    found = predictor()
    read = []

    def sentences() -> Iterator[Sentence]:
        for number in range(64):
            read.append(number)
            yield Sentence(Example((f"{number}" + "x" * (1 << 20),)))

    for number, _ in enumerate(found.run(sentences(), ["pos"])):
        assert len(read) <= number + 1 + CHUNK_CHARACTERS // (1 << 20)


FORK = """
import multiprocessing, sys, torch, mtl
model = mtl.load(sys.argv[1], device="cpu")
torch.set_num_threads(2)
texts = ["Ann left Rome. " * 20] * 40
expected = model.predict(texts)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(model.predict, [texts] * 4).get(60) == [expected] * 4
assert torch.get_num_threads() == 2
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_predicts_too(run_folder: Path) -> None:
    command = [sys.executable, "-c", FORK, str(run_folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2"}
    subprocess.run(command, check=True, timeout=120, env=environment)


def test_loading_leaves_the_threads_of_the_process(run_folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        mtl.load(run_folder, device="cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was trained on one thread."""
    folder = tmp_path_factory.mktemp("project")
    project.write(folder)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mtl.train("run.yaml", {"training.threads": 1, "training.epochs": 1}, progress=False)
    torch.set_num_threads(before)
    return folder / "runs/run"
