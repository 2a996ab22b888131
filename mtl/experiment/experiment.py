"""A run with its model, ready to train, evaluate and predict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.encoding import Batcher
from mtl.errors import CheckpointError, ConfigError
from mtl.experiment.build import (
    build_targets,
    head_owners,
    language_models,
    make_model,
    number_words,
    vocabulary_classes,
)
from mtl.experiment.checks.labels import check_labels
from mtl.experiment.config import load_config
from mtl.experiment.corpora import cuts_subwords, subwords_of, tasks_of
from mtl.experiment.kinds import build
from mtl.experiment.loaders import make_loader
from mtl.experiment.pretrained import reads_subwords, set_pretrained
from mtl.experiment.transfer import Start
from mtl.experiment.vectors import load_vectors, set_vectors
from mtl.heads import Classifier, LabelSet
from mtl.inference.predictor import Predictor
from mtl.metrics import Metric
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint import RUN, check_run_folder, load_subwords, load_vocabularies, to_device
from mtl.targets import Target
from mtl.text.subwords import Subwords
from mtl.text.vocabulary import Vocabulary
from mtl.training.cache import Cache
from mtl.training.dynamic import Dynamic
from mtl.training.evaluation import Evaluation, evaluate, gather
from mtl.training.likelihood import measure
from mtl.trunks import TRUNKS

STREAMS = 10
"""Streams in which running text is scored: the fewer, the fewer words lack what was before them."""


@dataclass(frozen=True)
class Experiment:
    """A run with its numberings and its model; the data is read when asked for.

    Args:
        run: The run file, complete.
        vocabularies: Feature to vocabulary.
        targets: Head to its target.
        model: The model.
        device: Where it computes.
        notes: What the user should know of how it was made.
        subwords: What the text of its language models is cut into, if it is.
    """

    run: Run
    vocabularies: Mapping[str, Vocabulary]
    targets: Mapping[str, Target]
    model: MultiTaskModel
    device: torch.device
    notes: Sequence[str] = ()
    subwords: Subwords | None = None

    @cached_property
    def batcher(self) -> Batcher:
        """What numbers words and labels."""
        owner = head_owners(self.run)
        targets = {task: self.targets[owner[task]] for task in self.run.tasks}
        return Batcher(self.vocabularies, targets)

    @cached_property
    def predictor(self) -> Predictor:
        """The model at work."""
        return Predictor(
            self.model,
            self.batcher,
            schemes={name: task.scheme for name, task in self.run.tasks.items()},
            max_length=self.run.training.max_length,
            overlap=self.run.training.overlap,
        )

    def metrics(self, tasks: Iterable[str]) -> dict[str, partial[Metric]]:
        """Return what makes the metric of each task."""
        return {
            task: partial(build, "metric", self.run.tasks[task].metric)
            for task in self.run.tasks
            if task in set(tasks)
        }

    def evaluate(
        self,
        corpora: Iterable[Corpus],
        split: str,
        tasks: Iterable[str] | None = None,
        *,
        streams: int = STREAMS,
        dynamic: Dynamic | None = None,
        cache: Cache | None = None,
    ) -> Evaluation:
        """Return the scores on a split of the corpora that have it.

        Args:
            corpora: Corpora of the run.
            split: "train", "dev" or "test".
            tasks: The tasks to score; None: all.
            streams: The most streams in which running text is scored.
            dynamic: How language models learn from what they have scored; see `measure`.
            cache: How much of what was read they expect again.
        """
        found = []
        wanted = set(self.run.tasks if tasks is None else tasks)
        for corpus in corpora:
            if split not in corpus.splits:
                continue
            own = self.metrics(wanted.intersection(tasks_of(self.run, corpus.name)))
            text = {task: own[task] for task in language_models(self.run) if task in own}
            if labelled := {task: make for task, make in own.items() if task not in text}:
                found.append(evaluate(self.predictor, corpus.splits[split], labelled))
            if text:
                batches = make_loader(self.run, corpus, split, list(text), streams=streams)
                own_text = measure(
                    self.model, self.batcher, batches, text, dynamic=dynamic, cache=cache
                )
                found.append(own_text)
        return Evaluation.joined(found)

    def fit_thresholds(self, corpora: Iterable[Corpus]) -> None:
        """Fit the thresholds of all heads that give sets of labels to the development sets."""
        found: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for corpus in corpora:
            for task in tasks_of(self.run, corpus.name):
                if self.batcher.targets[task].tuned and "dev" in corpus.splits:
                    own = gather(self.predictor, corpus.splits["dev"], task)
                    found[self.model.head_of[task]].append(own)
        for name, parts in found.items():
            head = self.model.heads[name]
            assert isinstance(head, Classifier)
            assert isinstance(head.objective, LabelSet)
            head.objective.fit(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def validate(self, corpora: Sequence[Corpus]) -> Evaluation:
        """Return the scores on the development sets, to which thresholds are fitted first."""
        self.fit_thresholds(corpora)
        return self.evaluate(corpora, "dev")


def prepare(run: Run, corpora: Mapping[str, Corpus]) -> Experiment:
    """Number words and labels of the training data and make an untrained model.

    Raises:
        ConfigError: The labels do not fit the heads, or the model does not fit into memory.
    """
    use_threads(run)
    torch.manual_seed(run.seed)
    check_labels(run, corpora)
    vectors = load_vectors(run)
    start = _start(run)
    vocabularies = number_words(run, corpora, vectors, start.vocabularies if start else {})
    targets = build_targets(run, corpora, vocabularies)
    device = to_device(run.training.device)
    try:
        model = make_model(run, vocabularies, targets).to(device)
    except (MemoryError, RuntimeError) as error:  # torch says that memory is short by the latter
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the model cannot be made: {reason}; make it smaller") from error
    set_vectors(model, vocabularies, vectors)
    if reads_subwords(run) and not start:
        set_pretrained(run, model)
    notes = [start.give(model, run, vocabularies)] if start else []
    return Experiment(run, vocabularies, targets, model, device, notes, subwords_of(corpora))


def _start(run: Run) -> Start | None:
    """Return the run that this one starts from.

    Raises:
        CheckpointError: It is no finished run.
    """
    trunk = TRUNKS.find(run.trunk.type)
    start = trunk.start_folder(run.trunk.options)
    if start is None:
        return None
    folder = Path(start)
    try:
        check_run_folder(folder)
    except CheckpointError as error:
        option = trunk.loading_options(run.trunk.options)[0]
        raise CheckpointError(f"trunk.{option}: {error}") from error
    return Start.read(folder, load_config(folder / RUN, must_exist=False))


def restore(run: Run, folder: Path) -> Experiment:
    """Make the model of a run folder, as yet without its weights."""
    use_threads(run)
    vocabularies, targets = read_numberings(run, folder)
    device = to_device(run.training.device)
    model = make_model(run, vocabularies, targets).to(device)
    subwords = load_subwords(folder) if any(map(cuts_subwords, run.corpora.values())) else None
    return Experiment(run, vocabularies, targets, model, device, subwords=subwords)


def read_numberings(run: Run, folder: Path) -> tuple[dict[str, Vocabulary], dict[str, Target]]:
    """Return the vocabularies of a run folder by feature, and its labels by head.

    Raises:
        CheckpointError: They are missing, damaged, or not those of the run.
    """
    vocabularies, targets = load_vocabularies(folder, vocabulary_classes(run))
    if missing := set(head_owners(run).values()) - set(targets):
        raise CheckpointError(f"{folder}: has no labels for the head {min(missing)!r}; train again")
    return vocabularies, targets


def use_threads(run: Run) -> None:
    """Let torch use as many CPU threads as the run says."""
    if run.training.threads is not None:
        torch.set_num_threads(run.training.threads)
