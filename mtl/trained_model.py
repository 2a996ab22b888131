"""A trained model at work: labels, scores, text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mtl.data.corpus import Corpus
from mtl.display.reading import show_reading
from mtl.errors import MtlError, did_you_mean
from mtl.experiment import STREAMS, Experiment, load_config, load_corpora, restore
from mtl.experiment.corpora import check_words, cut_of, reads_pairs, with_files
from mtl.experiment.loaders import batch_limits
from mtl.inference.explanation import Explanation, who_attends
from mtl.inference.generator import Sampling, generate
from mtl.inference.inputs import Sentences, examples_of
from mtl.runs.checkpoint import MODEL, RUN, check_run_folder, load_weights
from mtl.text.example import Labels
from mtl.text.tokenizer import words_of
from mtl.training.cache import Cache
from mtl.training.dynamic import Dynamic
from mtl.training.evaluation import Evaluation, label


class TrainedModel:
    """A model with all that using it takes.

    Args:
        folder: Its run folder.
        experiment: Its parts.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder
        self.run = experiment.run
        self.experiment = experiment
        self.predictor = experiment.predictor

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(self.run.tasks)

    def predict(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
    ) -> dict[str, list[Any]]:
        """Return the labels of sentences: task to one item a sentence.

        Args:
            sentences: Raw text, which is cut into tokens, or lists of tokens; two of them each for
                tasks that compare sentences.
            tasks: The tasks wanted; None: as `labelled_tasks`.

        Returns:
            A list of labels, one a token (taggers), or one label (classifiers), a sentence. A set
            of labels is a list by alphabet.

        Raises:
            MtlError: One string in place of a list, one sentence in place of two, or a task that
                the model does not have.
        """
        wanted = self.labelled_tasks(tasks)
        examples = examples_of(sentences, pairs=self.reads_pairs(wanted))
        found = self.predictor.predict(examples, wanted)
        targets = self.experiment.batcher.targets
        return {task: [targets[task].plain(own[task]) for own in found] for task in wanted}

    def explain(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        attention: bool = False,
    ) -> dict[str, list[Explanation]]:
        """Return the labels of sentences with what they rest on: task to one item a sentence.

        Args:
            sentences: As for `predict`.
            tasks: The tasks wanted; None: as `labelled_tasks`.
            attention: Whether to say, beside how probable labels are, where heads look.

        Raises:
            MtlError: As for `predict`; or attention is wanted of a task that has none.
        """
        wanted = self.labelled_tasks(tasks)
        looking = self.attending_tasks(tasks) if attention else []
        examples = examples_of(sentences, pairs=self.reads_pairs(wanted))
        found = self.predictor.explain(examples, wanted, confidence=True, attention=looking)
        return {task: [own[task] for own in found] for task in wanted}

    def evaluate(
        self,
        split: str = "test",
        tasks: Sequence[str] | None = None,
        *,
        data: Mapping[str, str | PathLike[str]] | None = None,
        streams: int = STREAMS,
        dynamic: Dynamic | None = None,
        cache: Cache | None = None,
    ) -> Evaluation:
        """Return the scores on a split of the run's corpora.

        Args:
            split: "train", "dev" or "test".
            tasks: The tasks to score; None: all.
            data: Corpus to a file that is scored in place of the split.
            streams: The most streams in which running text is scored.
            dynamic: How language models learn from what they have scored; None: they do not.
            cache: How much of what was read they expect again; None: nothing.

        Raises:
            MtlError: None of the corpora has such a split, or `dynamic` or `cache` are given for
                tasks other than language models that read streams forwards.
        """
        wanted = self.check_tasks(tasks)
        if dynamic or cache:
            wanted = self.language_models(tasks, streams=True)
        run = with_files(self.run, split, data or {}, wanted)
        corpora = load_corpora(run, self.experiment.subwords, progress=show_reading)
        found = self.experiment.evaluate(
            corpora.values(), split, wanted, streams=streams, dynamic=dynamic, cache=cache
        )
        if not found.metrics:
            raise _no_split(split, corpora)
        return found

    def label(
        self, split: str, tasks: Sequence[str]
    ) -> dict[str, tuple[list[Labels], list[Labels]]]:
        """Return task to the gold and the predicted labels of the sentences of a split.

        Args:
            split: "train", "dev" or "test".
            tasks: The tasks; those whose corpus has no such split are left out.

        Raises:
            MtlError: None of the corpora has such a split.
        """
        found: dict[str, tuple[list[Labels], list[Labels]]] = {}
        run = with_files(self.run, split, {}, tasks)
        corpora = load_corpora(run, self.experiment.subwords, progress=show_reading)
        for name, corpus in corpora.items():
            if split not in corpus.splits:
                continue
            own = [task for task in tasks if self.run.tasks[task].corpus == name]
            for task, gold, predicted in label(self.predictor, corpus.splits[split], own):
                both = found.setdefault(task, ([], []))
                both[0].extend(gold)
                both[1].extend(predicted)
        if not found:
            raise _no_split(split, corpora)
        return found

    def generate(
        self,
        prompt: str = "",
        *,
        task: str | None = None,
        length: int = 50,
        sampling: Sampling | None = None,
        seed: int = 1,
    ) -> Iterator[str]:
        """Return the words that a language model draws after a text, one by one.

        Args:
            prompt: The text.
            task: The language model; None: the first one.
            length: The most words.
            sampling: How words are drawn; None: from all, as probable as they are.
            seed: The same seed gives the same words.

        Raises:
            MtlError: The task gives no next word, or lacks a first one to go on from.
        """
        (chosen, *_) = self.language_models([task] if task else None)
        words = self.prompt_words(prompt, chosen)
        streams = batch_limits(self.run, self.run.tasks[chosen].corpus).streams
        if not words and not streams:
            raise MtlError("the model has learnt whole sentences; give it a prompt to go on from")
        return generate(
            self.experiment.model,
            self.experiment.batcher,
            chosen,
            words,
            length=length,
            sampling=sampling or Sampling(),
            seed=seed,
            whole_sentences=not streams,
        )

    def prompt_words(self, prompt: str, task: str | None = None) -> list[str]:
        """Return the words of a prompt, cut as the text was that a language model has learnt."""
        (chosen, *_) = self.language_models([task] if task else None)
        cut = cut_of(self.run.corpora[self.run.tasks[chosen].corpus])
        return words_of(prompt, cut, self.experiment.subwords)

    def check_tasks(self, tasks: Sequence[str] | None) -> list[str]:
        """Return the tasks wanted, in the order of the run.

        Raises:
            MtlError: The model has no such task.
        """
        for task in tasks or ():
            if task not in self.run.tasks:
                raise MtlError(f"the model has no task {task!r}{did_you_mean(task, self.tasks)}")
        return [task for task in self.tasks if not tasks or task in tasks]

    def reads_pairs(self, tasks: Sequence[str]) -> bool:
        """Return whether the tasks compare two sentences.

        Raises:
            MtlError: Some do, some do not.
        """
        pairs = [task for task in tasks if reads_pairs(self.run, task)]
        if pairs and len(pairs) < len(tasks):
            found = f"{', '.join(pairs)}: compares two sentences, the other tasks read one"
            raise MtlError(f"{found}; name tasks of one kind")
        return bool(pairs)

    def labelled_tasks(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Return the tasks wanted, by default those whose labels the words do not tell, if any.

        Raises:
            MtlError: The model has no such task.
        """
        wanted = self.check_tasks(tasks)
        labelled = [task for task in wanted if not self.run.tasks[task].source.derived]
        found = wanted if tasks else labelled or wanted
        check_words(self.run, found)
        return found

    def attending_tasks(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Return those of the tasks wanted whose heads have attention.

        Raises:
            MtlError: A task that is named has none, or no task has.
        """
        wanted = self.labelled_tasks(tasks)
        found = [task for task in wanted if self.predictor.attention(task)]
        if (tasks and len(found) < len(wanted)) or not found:
            names = ", ".join(task for task in wanted if task not in found)
            raise MtlError(f"{names}: no attention to tell of; {who_attends()}")
        return found

    def language_models(
        self, tasks: Sequence[str] | None = None, *, streams: bool = False
    ) -> list[str]:
        """Return the tasks wanted, which give the next word of a text.

        Args:
            tasks: Some tasks; None: all that do.
            streams: Whether they must have learnt from running text.

        Raises:
            MtlError: One of the tasks does not, or none of the model's does.
        """
        able = [
            name
            for name, task in self.run.tasks.items()
            if task.source.text == "next"
            and (batch_limits(self.run, task.corpus).streams or not streams)
        ]
        what = "gives the next word of a text" + " read in streams" * streams
        for task in self.check_tasks(tasks) if tasks else ():
            if task not in able:
                raise MtlError(f"task {task!r} is no language model that {what}")
        if not able:
            raise MtlError(f"{self.folder}: no task of the model {what}")
        return [task for task in able if not tasks or task in tasks]


def _no_split(split: str, corpora: Mapping[str, Corpus]) -> MtlError:
    known = {name for corpus in corpora.values() for name in corpus.splits}
    return MtlError(f"no split {split!r} of these tasks{did_you_mean(split, known)}")


def load(folder: str | PathLike[str], *, device: str | None = None) -> TrainedModel:
    """Load the model of a run folder.

    Args:
        folder: The run folder.
        device: "cpu", "cuda", …; None: a GPU if there is one, wherever it was trained.

    Raises:
        CheckpointError: It is no run folder, not finished, or damaged.
    """
    folder = Path(folder)
    check_run_folder(folder)
    overrides = {"training.device": device or "auto"}
    experiment = restore(load_config(folder / RUN, overrides, must_exist=False), folder)
    load_weights(folder / MODEL, experiment.model)
    experiment.model.eval()
    return TrainedModel(folder, experiment)
