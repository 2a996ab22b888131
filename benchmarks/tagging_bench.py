"""Compare tagging speed with python-crfsuite, from lists of words to labels, including features.

The tasks are parts of speech, entities, and both. mtl predicts both in one pass; crfsuite needs two
models. crfsuite has the usual features (word, lower case, affixes of two and three letters, shape,
character classes) of a word and of two words on either side. They are computed in two ways: when
they are needed, as its users do, and cached for all occurrences of a word.

Missing models are trained first; the speed does not depend on the training.
"""

from __future__ import annotations

import mtl  # before torch, as in the command: it sets how threads wait for each other

# isort: split
import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from crfsuite_features import cached_features, sentence_features, word_features
from side_by_side import ROOT, alternate, conditions, ratio, report, speed, table

from mtl.api import TrainedModel
from mtl.data.corpus import Corpus
from mtl.experiment import load_corpora
from mtl.experiment.experiment import make_metrics

try:
    import pycrfsuite
except ImportError:
    raise SystemExit(
        "python-crfsuite is missing: pip install -r benchmarks/requirements.txt -c constraints.txt"
    ) from None

CONFIGS = {
    "ewt_pos": ["pos"],
    "uner_ner": ["ner"],
    "ewt_pos_ner": ["pos", "ner"],
    "ewt_pos_ner-qrnn": ["pos", "ner"],
}
"""Run to timed tasks: the name of a run file, and after a hyphen another trunk."""
TRUNKS = {
    "qrnn": {"trunk.type": "qrnn", "trunk.num_layers": 2, "trunk.bidirectional": "interleaved"}
}
"""Name of a trunk to overrides of the run file."""
QUICKSTART = {"quickstart": ["parts"]}
"""The runs to time if only the data of the quick start is available."""


def crfsuite_tagger(corpus: Corpus, task: str, folder: Path) -> pycrfsuite.Tagger:
    """Return a tagger; train it on the corpus unless its file exists."""
    file = folder / f"{corpus.name}_{task}.crfsuite"
    if not file.is_file():
        trainer = pycrfsuite.Trainer(verbose=False)
        trainer.set_params({"c1": 0.1, "c2": 0.1, "max_iterations": 30})
        for example in corpus.splits["train"]:
            trainer.append(sentence_features(example.tokens), example.labels[task])
        trainer.train(str(file))
    tagger = pycrfsuite.Tagger()
    tagger.open(str(file))
    return tagger


def mtl_model(name: str, folder: Path) -> TrainedModel:
    """Return the model of a run; train it for one epoch unless it exists."""
    if (folder / name / "model.safetensors").is_file():
        return mtl.load(folder / name, device="cpu")
    config, _, trunk = name.partition("-")
    changes = {"training.epochs": 1, "training.device": "cpu", **TRUNKS.get(trunk, {})}
    return mtl.train(ROOT / "configs" / f"{config}.yaml", changes, output=folder / name)


def contestants(
    model: TrainedModel,
    taggers: Sequence[pycrfsuite.Tagger],
    tasks: Sequence[str],
    sentences: Sequence[Sequence[str]],
    threads: Sequence[int],
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each contestant with a function that labels all sentences."""
    tokens = sum(map(len, sentences))

    def crfsuite(features: Callable[[str, int], tuple[str, ...]]) -> int:
        for tagger in taggers:
            for sentence in sentences:
                tagger.tag(sentence_features(sentence, features))
        return tokens

    def own(number: int) -> int:
        torch.set_num_threads(number)
        model.predict(sentences, tasks)
        return tokens

    yield "crfsuite", partial(crfsuite, word_features)
    yield "crfsuite, kept", partial(crfsuite, cached_features)
    for number in threads:
        yield f"mtl, {number} thread{'s' * (number > 1)}", partial(own, number)


def compare(
    name: str, tasks: Sequence[str], *, folder: Path, rounds: int, threads: Sequence[int]
) -> tuple[list[str], list[list[str]]]:
    """Return the rows of speeds and of scores for one run."""
    model = mtl_model(name, folder)
    corpora = load_corpora(model.run)
    of = {task: corpora[model.run.tasks[task].corpus] for task in tasks}
    taggers = {task: crfsuite_tagger(corpus, task, folder) for task, corpus in of.items()}
    scores = [
        [
            f"{name}: {task}",
            mtl_score(model, of[task], task),
            crfsuite_score(model, of[task], task, tagger),
        ]
        for task, tagger in taggers.items()
    ]
    sentences = [list(example.tokens) for example in of[tasks[0]].splits["test"]]
    found = alternate(
        dict(contestants(model, list(taggers.values()), tasks, sentences, threads)), rounds
    )
    usual, kept, *own = found.values()
    ratios = [ratio(speeds, other) for speeds in own for other in (usual, kept)]
    return [name, *map(speed, found.values()), *ratios], scores


def mtl_score(model: TrainedModel, corpus: Corpus, task: str) -> str:
    """Return the score on the test split."""
    evaluation = model.experiment.evaluate([corpus], "test", [task])
    return _first(evaluation.scores()[task])


def crfsuite_score(
    model: TrainedModel, corpus: Corpus, task: str, tagger: pycrfsuite.Tagger
) -> str:
    """Return the score on the test split, computed with the metric of mtl."""
    metric = make_metrics(model.run, [task])[task]()
    for example in corpus.splits["test"]:
        found = tagger.tag(sentence_features(example.tokens))
        metric.update([example.labels[task]], [found])
    return _first(metric.compute())


def _first(scores: dict[str, float]) -> str:
    name, value = next(iter(scores.items()))
    return f"{name} {100 * value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "benchmarks")
    parser.add_argument("--only", nargs="+", help="names of the runs to time")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    configs = CONFIGS if "MTL_DATA" in os.environ else QUICKSTART
    rows, scores = [], []
    for name, tasks in configs.items():
        if name in (options.only or configs):
            row, own = compare(
                name, tasks, folder=options.runs, rounds=options.rounds, threads=options.threads
            )
            rows.append(row)
            scores += own
    names = [f"{number} thread{'s' * (number > 1)}" for number in options.threads]
    ratios = [f"{name} / {other}" for name in names for other in ("crfsuite", "kept")]
    head = ["tokens/s", "crfsuite", "crfsuite, kept", *(f"mtl, {name}" for name in names)]
    speeds = table([*head, *ratios], rows)
    quality = table(["test score", "mtl", "crfsuite"], scores)
    report(
        "tagging",
        f"# Tagging beside python-crfsuite\n\n{speeds}\n\n{quality}\n\n"
        + conditions(["mtl", "torch", "python-crfsuite"]),
    )


if __name__ == "__main__":
    main()
