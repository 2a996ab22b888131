"""A trained model: labels, scores, and text from a language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.display.reading import show_import, show_reading
from mtl.errors import MtlError
from mtl.experiment import STREAMS, Experiment, load_config, load_corpora, restore
from mtl.experiment.calibration import Calibration, fit_temperatures
from mtl.experiment.corpora import by_corpus, cut_of, no_split, with_data
from mtl.experiment.experiment import gold_and_predicted, score_labels
from mtl.experiment.loaders import batch_limits
from mtl.experiment.task_selection import TaskSelection, TextUnit
from mtl.files import find_shipped
from mtl.inference import process
from mtl.inference.abstention import check_threshold, sure_answers
from mtl.inference.attribution import STEPS, explain
from mtl.inference.base import BasePredictor
from mtl.inference.characters import in_characters
from mtl.inference.explanation import Explanation, Method
from mtl.inference.generator import Beam, Sampling, generate
from mtl.inference.inputs import Sentences, read_sentences, split_texts
from mtl.inference.paths import best_paths
from mtl.inference.prediction import Prediction
from mtl.inference.probabilities import probabilities
from mtl.inference.states import hidden_states
from mtl.registry import OnImport, silently
from mtl.runs.calibration import read_calibration, write_calibration
from mtl.runs.checkpoint import MODEL, RUN, check_run_folder, load_weights
from mtl.runs.checksums import check_files
from mtl.runs.ensemble import is_ensemble, member_folder, read_ensemble
from mtl.text.example import Labels
from mtl.text.tokenizer import words_of

if TYPE_CHECKING:
    from mtl.data.corpus import Corpus
    from mtl.experiment.ensemble import JointExperiment
    from mtl.export.rounding import Weights
    from mtl.model import MultiTaskModel
    from mtl.training.cache import Cache
    from mtl.training.dynamic import Dynamic
    from mtl.training.evaluation import Evaluation


class TrainedModel:
    """A trained model, or an ensemble of trained models.

    `load`, `train`, `distil` and `ensemble` return objects of this class.

    Args:
        folder: The run folder, or the folder of the ensemble.
        experiment: The run, vocabularies and network; or the joint run of all members.
        members: The members of an ensemble.
    """

    def __init__(
        self,
        folder: Path,
        experiment: Experiment | JointExperiment,
        members: Sequence[TrainedModel] = (),
    ) -> None:
        self.folder = folder
        self.run = experiment.run
        self.members = tuple(members)
        """The members of an ensemble; empty for one model."""
        self._experiment = None if members else experiment
        self.predictor: BasePredictor = experiment.predictor
        self.selection = TaskSelection(folder, experiment.run, experiment.predictor)

    def __repr__(self) -> str:
        return f"<TrainedModel {str(self.folder)!r}: {', '.join(self.tasks)}>"

    def __str__(self) -> str:
        models = self.members or [self]
        parameters = sum(p.numel() for model in self.networks for p in model.parameters())
        kind = f"ensemble of {len(models)} models" if self.members else "model"
        lines = [f"{kind} in {self.folder}, {parameters:,} parameters"]
        for name, task in self.run.tasks.items():
            own = [m.run.tasks[name].head for m in models if name in m.tasks]
            heads = dict.fromkeys(head if isinstance(head, str) else head.type for head in own)
            summary = self.predictor.targets[name].summary()
            lines.append(f"task {name}: {task.use}, head {', '.join(heads)}, {summary}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the folder and the device; unpickling loads the model from the folder."""
        return load_model, (self.folder.absolute(), str(self.predictor.device), silently)

    @property
    def experiment(self) -> Experiment:
        """The run, vocabularies and network.

        Raises:
            MtlError: The model is an ensemble, which has several networks.
        """
        if not isinstance(self._experiment, Experiment):
            raise MtlError(
                f"{self.folder}: an ensemble has several networks, and this needs one; use one of "
                f"its members, such as {member_folder(self.folder, 1)}"
            )
        return self._experiment

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks."""
        return list(self.run.tasks)

    @property
    def models(self) -> list[TrainedModel]:
        """A list with this model, as `TrainedSeeds.models` has one model per seed."""
        return [self]

    def predict(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        unit: TextUnit | None = None,
        abstain: float | None = None,
    ) -> dict[str, list[Any]]:
        """Predict the labels of texts.

        `annotate` returns the same labels with tokens, character offsets and confidences.

        Args:
            sentences: Raw texts, which are split into words, or lists of words; for tasks on
                sentence pairs, pairs of them.
            tasks: The tasks; None: all but those whose labels are derived from the text.
            unit: The unit of text that the tasks read: "sentence" splits raw texts into sentences,
                "record" does not. None: as each task was trained, see `unit` of a corpus. A
                classifier that reads sentences returns one label per text, from its mean scores.
            abstain: Answers whose confidence is below this probability are None; see
                `mtl.inference.abstention.abstain`.

        Returns:
            Task to a list with one item per text. An item is a list with one label per token
            (taggers), or one label (classifiers). A set of labels is a sorted list.

        Raises:
            MtlError: `sentences` is a single string, an item is neither text nor words, or the
                model has no such task.
        """
        selected = self.selection.labelling(tasks, characters=True)
        labels = [p.labels for p in self.annotate(sentences, selected, unit=unit, abstain=abstain)]
        return {task: [own[task] for own in labels] for task in selected}

    def annotate(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        confidence: bool = False,
        attention: bool = False,
        unit: TextUnit | None = None,
        split_sentences: bool = False,
        chunk_size: int | None = None,
        abstain: float | None = None,
        n_best: int = 0,
    ) -> Iterator[Prediction]:
        """Return an iterator over predictions, one per text, in order.

        The texts are read and labelled in chunks, so they may be a generator of any length.

        >>> for prediction in model.annotate(["Ann left Rome."], confidence=True):  # doctest: +SKIP
        ...     print(prediction)  # a table of tokens and labels
        ...     prediction.spans["ner"][0].start  # position of the first character in the text
        ...     prediction.to_dict()  # the record that `mtl predict` writes as JSON

        Args:
            sentences: As for `predict`.
            tasks: As for `predict`.
            confidence: Whether to compute the probabilities of labels.
            attention: Whether to compute the attention weights of heads that have them.
            unit: As for `predict`.
            split_sentences: Whether to predict each sentence of a raw text by itself.
            chunk_size: The number of texts per chunk, such as 1; None: a few thousand.
            abstain: As for `predict`.
            n_best: The number of label sequences, in `paths`, of tasks with one label per token.

        Raises:
            MtlError: As for `predict`; a task has no attention; or pairs cannot be split.
        """
        selected = self.selection.labelling(tasks, characters=True)
        self.selection.check_unit(selected, unit, split=split_sentences)
        stream = read_sentences(sentences, pairs=self.selection.compare_pairs(selected))
        characters = self.selection.read_characters(selected)
        label = partial(
            self.predictor.run,
            tasks=selected,
            confidence=confidence or abstain is not None,
            attention=self.selection.attending(tasks) if attention else [],
            by_sentence=self.selection.by_sentence(selected, unit),
            chunk_size=chunk_size,
            n_best=n_best,
        )
        stream = split_texts(stream) if split_sentences else stream
        predictions = in_characters(stream, label) if characters else label(stream)
        return sure_answers(predictions, abstain, confidence=confidence)

    def probabilities(
        self, sentences: Sentences, task: str | None = None
    ) -> tuple[list[str], list[NDArray[np.float64]]]:
        """Return the labels of a task, and the probability of each label.

        Args:
            sentences: As for `predict`.
            task: A task with one label per sentence or token; None: the only task.

        Returns:
            K labels, and per sentence an array `[K]` (classifiers) or `[T, K]` (taggers, T tokens).

        Raises:
            MtlError: As for `predict`; the task has no fixed list of labels; or there are several
                tasks and none is named.
        """
        selected = self.selection.only(task)
        read = list(read_sentences(sentences, pairs=self.selection.compare_pairs([selected])))
        return probabilities(self.predictor, read, selected)

    def best_paths(
        self, sentences: Sentences, task: str, number: int
    ) -> tuple[list[str], list[tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Return the labels of a task, and the most probable label sequences of each sentence.

        Args:
            sentences: As for `predict`.
            task: A task with one label per token.
            number: P, the number of sequences per sentence.

        Returns:
            K labels, in the scheme of the head; and per sentence label ids `[P, T]`, best first,
            with log-probabilities `[P]`. A missing sequence has −∞; so have all sequences of a
            sentence that is longer than `max_length`.

        Raises:
            MtlError: As for `predict`; or the task does not label tokens, or the number is below 1.
        """
        (selected,) = self.selection.labelling([task])
        examples = [item.example for item in read_sentences(sentences, pairs=False)]
        return best_paths(self.experiment.predictor, examples, selected, number)

    def hidden_states(self, sentences: Sentences, task: str) -> list[NDArray[np.float32]]:
        """Return the states that the head of a task reads, an array `[T, H]` per sentence.

        Raises:
            MtlError: As for `predict`; or it is an ensemble.
        """
        (name,) = self.selection.labelling([task])
        return hidden_states(self.experiment.predictor, sentences, name)

    def explain(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        method: Method = "integrated",
        token: str | None = None,
        steps: int = STEPS,
        unit: TextUnit | None = None,
    ) -> Iterator[Explanation]:
        """Return an iterator over explanations, one per text: the weight of each word.

        Args:
            sentences: As for `predict`.
            tasks: As for `predict`.
            method: "integrated" (gradients), "gradient" (× input) or "occlusion".
            token: Explain the tags of this word; None: each span, or each tag if there are none.
            steps: The number of points of integrated gradients.
            unit: As for `predict`.

        Raises:
            MtlError: As for `predict`. No task has tags for `token`. There is no gradient.
        """
        predictor, selected = self.predictor, self.selection.labelling(tasks)
        found = self.annotate(sentences, selected, confidence=True, unit=unit, chunk_size=1)
        split = self.selection.by_sentence(selected, unit)
        return explain(predictor, found, selected, split, method, token, steps)

    def save_bundle(
        self,
        path: str | PathLike[str],
        tasks: Sequence[str] | None = None,
        weights: Weights = "float32",
    ) -> None:
        """Export the model to a bundle, a file that `mtl_runtime.load` reads without PyTorch.

        Args:
            path: The file, such as "model.mtl".
            tasks: As for `predict`.
            weights: "float32", "float16" or "int8": the type of large tables and matrices.

        Raises:
            MtlError: A part of the model cannot be exported, or the file cannot be written.
        """
        from mtl.export.bundle import export_bundle

        export_bundle(self.experiment.predictor, self.selection.forms(tasks), Path(path), weights)

    def evaluate(
        self,
        split: str = "test",
        tasks: Sequence[str] | None = None,
        *,
        data: Any = None,
        labels: bool = False,
        streams: int = STREAMS,
        dynamic: Dynamic | None = None,
        cache: Cache | None = None,
        confidence: bool = False,
        abstain: float | None = None,
    ) -> Evaluation:
        """Evaluate the model on a split of its corpora.

        Args:
            split: "train", "dev" or "test".
            tasks: The tasks to score; None: all.
            data: Data to use instead of the split: a file in the format of the corpus, rows, a
                frame or a data set, as for `train`. With several corpora: a dictionary from corpus
                to its data.
            labels: Whether to keep the gold and predicted labels: `Evaluation.gold` and
                `Evaluation.predicted`. Language models have none.
            streams: The maximum number of streams in which running text is scored.
            dynamic: Options of dynamic evaluation, in which language models learn from the text
                that they have scored; None: no dynamic evaluation.
            cache: Options of the neural cache of language models; None: no cache.
            confidence: Whether to compare confidences with the share of right answers:
                `Evaluation.reliability`.
            abstain: Score also the answers of at least this confidence: `Evaluation.answered`.

        Raises:
            MtlError: No corpus has such a split; `abstain` is not a probability; or `dynamic` or
                `cache` are used for tasks other than language models that read streams forwards.
        """
        selected = self.selection.named(tasks)
        check_threshold(abstain)
        if dynamic or cache:
            selected = self.selection.language_models(tasks, streams=True)
        corpora = self._corpora(split, data, selected)
        kept: Any = {"labels": labels, "confidence": confidence, "abstain": abstain}
        if self.members:  # an ensemble has no language models
            evaluation = score_labels(self.run, self.predictor, corpora, split, selected, **kept)
        else:
            kept |= {"streams": streams, "dynamic": dynamic, "cache": cache}
            evaluation = self.experiment.evaluate(corpora, split, selected, **kept)
        if not evaluation.metrics:
            raise no_split(split, corpora)
        return evaluation

    def _corpora(self, split: str, data: Any, tasks: Sequence[str]) -> list[Corpus]:
        """Return the corpora of some tasks, with other data for a split if there is some."""
        run, given = with_data(self.run, split, by_corpus(self.run, data, tasks), tasks)
        subwords = None if self.members else self.experiment.subwords
        return [*load_corpora(run, subwords, given=given, progress=show_reading).values()]

    def calibrate(self, tasks: Sequence[str] | None = None, *, data: Any = None) -> Calibration:
        """Fit temperatures of the probabilities to the dev set, and save them in the folder.

        Args:
            tasks: The tasks; None: all that have confidences.
            data: Data in place of the dev sets, as for `evaluate`.

        Raises:
            MtlError: No task can be calibrated, or the folder cannot be written.
        """
        selected = self.selection.named(tasks)
        dev = self._corpora("dev", data, selected)
        found = fit_temperatures(self.run, self.predictor, dev, selected)
        write_calibration(self.folder, self.networks, self.predictor.temperatures)
        return found

    @property
    def networks(self) -> list[MultiTaskModel]:
        """Its network, or the networks of all members."""
        return [model.experiment.model for model in self.members or [self]]

    def label(
        self, split: str, tasks: Sequence[str]
    ) -> dict[str, tuple[list[Labels], list[Labels]]]:
        """Return task to the gold and the predicted labels of the sentences of a split.

        Args:
            split: "train", "dev" or "test".
            tasks: The tasks; tasks whose corpus has no such split are left out.

        Raises:
            MtlError: No corpus has such a split.
        """
        corpora = self._corpora(split, None, tasks)
        if labels := gold_and_predicted(self.run, self.predictor, corpora, split, tasks):
            return labels
        raise no_split(split, corpora)

    def generate(
        self,
        prompt: str = "",
        *,
        task: str | None = None,
        length: int = 50,
        sampling: Sampling | Beam | None = None,
        seed: int = 1,
    ) -> Iterator[str]:
        """Return an iterator over words that a language model generates after a prompt.

        Args:
            prompt: The text before the first word.
            task: The language model; None: the first one.
            length: The maximum number of words.
            sampling: How words are chosen; None: sampled from the distribution of the model.
            seed: The random seed of sampling.

        Raises:
            MtlError: The task does not predict the next word; or the model was trained on single
                sentences, and the prompt is empty.
        """
        (chosen, *_) = self.selection.language_models([task] if task else None)
        words = self.prompt_words(prompt, chosen)
        streams = batch_limits(self.run, self.run.tasks[chosen].corpus).streams
        if not words and not streams:
            raise MtlError("the model was trained on single sentences, so it needs a prompt")
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
        """Return the words of a prompt, split like the training text of a language model."""
        (chosen, *_) = self.selection.language_models([task] if task else None)
        cut = cut_of(self.run.corpora[self.run.tasks[chosen].corpus])
        return words_of(prompt, cut, self.experiment.subwords)


def load(
    folder: str | PathLike[str], *, device: str | None = None, trust: bool = False
) -> TrainedModel:
    """Load the model of a run folder, or an ensemble.

    Args:
        folder: The run folder, the folder of an ensemble, or the name of a model of the package,
            such as "english".
        device: "cpu", "cuda", …; None: a GPU if available, also after training on a CPU.
        trust: Whether to import (and run) modules outside mtl that the run file names. Modules
            that your program has already imported need no trust.

    Raises:
        CheckpointError: The folder is not a run folder, has no trained model yet, or is damaged.
        ConfigError: The run file has an error, or names a part outside mtl without `trust`.
    """
    return load_model(Path(folder), device, show_import if trust else None)


def load_model(
    folder: Path, device: str | None, on_import: OnImport | None, weights: Path | None = None
) -> TrainedModel:
    """Load a model; see `load`, and `Registry.find` for `on_import`.

    Args:
        folder: The run folder, or the folder of an ensemble.
        device: The device.
        on_import: Allows the import of parts outside mtl.
        weights: The file of the weights; None: the best model of the run.
    """
    if device == "cpu":  # a process that was forked can use nothing else
        process.check(torch.device(device))
    folder = find_shipped(folder, "pretrained")
    if is_ensemble(folder):
        from mtl.experiment.ensemble import join

        description = read_ensemble(folder)
        folders = [member_folder(folder, n + 1) for n in range(len(description["members"]))]
        members = [load_model(own, device, on_import) for own in folders]
        own = [member.experiment for member in members]
        model = TrainedModel(folder, join(own, [*map(str, folders)], description["tasks"]), members)
    else:
        check_run_folder(folder)
        check_files(folder)
        overrides = {"training.device": device or "auto"}
        run = load_config(folder / RUN, overrides, must_exist=False, on_import=on_import)
        experiment = restore(run, folder)
        load_weights(weights or folder / MODEL, experiment.model)
        experiment.model.eval()
        model = TrainedModel(folder, experiment)
    if weights is None:  # temperatures belong to the best model, and not to other weights
        model.predictor.temperatures = read_calibration(folder, model.networks, model.tasks)
    return model
