"""The plan of a run: sizes, shapes, steps and memory, before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.streams import Streams
from mtl.experiment import Experiment, count_malformed
from mtl.experiment.checks import options, sampling
from mtl.experiment.label_counts import Counts, count_labels, label_notes
from mtl.experiment.loaders import batch_limits
from mtl.model import MultiTaskModel
from mtl.ops.library import load
from mtl.options import count
from mtl.training.precision import computes_bfloat16
from mtl.training.trainer import Trainer

_BARS = 20
"""The most labels of a task that are drawn in a notebook."""
FEW_STEPS = 100
"""Runs with fewer steps get a note."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Args:
        sentences: Corpus to split to the number of sentences.
        tasks: Task to a description of its corpus, head, layer and number of labels.
        shapes: Layer to the shape of its output.
        parameters: Part of the model to its number of parameters.
        batches: Corpus to the number of batches in one pass over its training data.
        draws: Corpus to the number of steps with it in the first epoch of the run.
        accumulate: Number of batches per step and corpus.
        steps: Number of steps per epoch.
        repeats: Whether passes repeat some sentences and leave out others.
        memory: Approximate memory of training, in bytes.
        labels: The counts of the labels.
        operators: The operators of CRFs and QRNNs: compiled or not, and why not.
        notes: Notes on the data, for the user.
    """

    sentences: Mapping[str, Mapping[str, int]]
    tasks: Mapping[str, str]
    shapes: Mapping[str, str]
    parameters: Mapping[str, int]
    batches: Mapping[str, int]
    draws: Mapping[str, int]
    accumulate: int
    steps: int
    repeats: bool
    memory: int
    labels: Counts
    operators: str
    notes: list[str]

    def _repr_html_(self) -> str:
        """Return the plan for a notebook: sizes, counts of labels, and notes."""
        from mtl.pages import charts, parts, render

        lines = [line.partition(": ") for line in describe(self)]
        rows = [[name, text] for name, _, text in lines if name != "note"]
        bars = [
            charts.bars(dict(found.most_common(_BARS)), title=f"{task}: labels of {split}")
            for task, by_split in self.labels.items()
            for split, found in by_split.items()
            if split == "train"
        ]
        notes = [parts.note(note) for note in self.notes]
        found = [parts.table(["", "plan"], rows, left=2), *notes, parts.grid(bars)]
        return render("notebook.html", parts=found)


def make_plan(experiment: Experiment, corpora: Mapping[str, Corpus], trainer: Trainer) -> Plan:
    """Return the plan of a run that is ready to train."""
    run, model = experiment.run, experiment.model
    labels = count_labels(experiment, corpora)
    parameters = _count_parameters(model)
    layers = ("embedding", *(f"layer {i}" for i in range(1, len(model.sharing.sizes))))
    notes = [
        *_data_notes(experiment, corpora, trainer),
        *label_notes(experiment, corpora, labels, trainer.selection.task_scores),
        *_training_notes(run, trainer),
    ]
    return Plan(
        sentences={n: {s: len(own) for s, own in c.splits.items()} for n, c in corpora.items()},
        tasks={
            name: f"{task.use}, {_head(run, name)}, {_layer(task.layer)}, "
            f"{experiment.batcher.targets[name].summary()}"
            for name, task in run.tasks.items()
        },
        shapes={
            layer: f"[B, T, {size}]"
            for layer, size in zip(layers, model.sharing.sizes, strict=True)
        },
        parameters=parameters,
        batches={name: loader.size for name, loader in trainer.loaders.items()},
        draws=trainer.sampler.counts(0),
        accumulate=trainer.accumulate,
        steps=trainer.sampler.steps_per_epoch,
        repeats=sampling.repeats(run),
        memory=_memory(trainer, experiment, corpora, sum(parameters.values())),
        labels=labels,
        operators=str(load(next(model.parameters()).device.type)),
        notes=notes,
    )


def _count_parameters(model: MultiTaskModel) -> dict[str, int]:
    """Return the number of parameters of each part of a model; shared ones count once."""
    parts: dict[str, nn.Module] = {"embedding": model.embedding}
    if len(model.sharing.sizes) > 1:
        parts["trunk"] = model.sharing
    parts |= {f"head {name}": head for name, head in model.heads.items()}
    if model.label_vectors:
        parts["label vectors"] = model.label_vectors
    if model.corpora:
        parts["corpus vectors"] = model.corpora
    parameters: dict[str, int] = {}
    counted: set[nn.Parameter] = set()
    for name, module in parts.items():
        # Tied outputs of a language model share the weights of the embedding.
        new = set(module.parameters()) - counted
        counted |= new
        parameters[name] = sum(p.numel() for p in new)
    return parameters


def _data_notes(
    experiment: Experiment, corpora: Mapping[str, Corpus], trainer: Trainer
) -> Iterator[str]:
    """Yield notes on the construction of the model, and on the sentences of the corpora."""
    yield from experiment.notes
    for name, corpus in corpora.items():
        yield from (f"{name}: {note}" for note in corpus.notes)
    for task, number in count_malformed(experiment.run, corpora).items():
        yield f"{task}: tags that break the scheme, read by the rules of conlleval: {number}"
    for name, loader in trainer.loaders.items():
        if loader.windowed:
            yield (
                f"{name}: additional windows, for sentences of more than "
                f"{experiment.run.training.max_length} tokens: {loader.windowed}"
            )


def _training_notes(run: Run, trainer: Trainer) -> Iterator[str]:
    """Yield notes on options without effect, and on runs that are too short."""
    if not trainer.evaluate:
        yield "no task has a dev score: the last epoch is saved"
    waits = {} if trainer.evaluate else {"training.patience": run.training.patience}
    unscored = run.tasks.keys() - trainer.selection.task_scores.keys()
    waits |= {f"tasks.{t}.patience": own.patience for t, own in run.tasks.items() if t in unscored}
    if idle := [key for key, patience in waits.items() if patience is not None]:
        yield (
            f"{', '.join(idle)}: no effect without a dev score; set `splits` of the corpus, which "
            "divides its training data, or give it a file for dev"
        )
    steps = trainer.epochs * trainer.sampler.steps_per_epoch
    draws = trainer.sampler.counts(0)
    batches = {name: trainer.epochs * n * trainer.accumulate for name, n in draws.items()}
    yield from options.notes(run, batches, steps)
    passes = {name: batches[name] / loader.size for name, loader in trainer.loaders.items()}
    yield from sampling.notes(run, passes)
    if steps < FEW_STEPS:
        yield (
            f"the whole run has {count(steps, 'step')}, too few to learn much; more epochs or "
            "smaller batches give more"
        )
    yield from _machine_notes(trainer)
    if trainer.weighting.note:
        yield trainer.weighting.note
    unfrozen = 1 + max(group.get("since", 0) for group in trainer.optimizer.param_groups)
    if unfrozen > trainer.epochs:
        yield (
            f"gradual: the lowest layer would be trained from epoch {unfrozen}, but there are only "
            f"{trainer.epochs} epochs"
        )


def _machine_notes(trainer: Trainer) -> Iterator[str]:
    """Yield notes on a precision that does not pay on this machine, and on too few batches."""
    if trainer.precision == "bf16" and not computes_bfloat16(trainer.device):
        yield (
            "precision: this processor has no instructions for bf16, so training is slower than "
            "with fp32"
        )
    if trainer.processes.several:
        yield (
            f"processes: {trainer.processes.world}, each with a part of every batch, and with "
            f"{count(torch.get_num_threads(), 'CPU thread')}"
        )
    for name, loader in trainer.loaders.items():
        if loader.size < trainer.accumulate:
            yield (
                f"{name}: a pass has {loader.size} batches, fewer than training.accumulate "
                f"({trainer.accumulate}), so a step is one pass"
            )


def _head(run: Run, task: str) -> str:
    head = run.tasks[task].head
    return f"head of {head}" if isinstance(head, str) else f"head {head.type}"


def _layer(index: int | str) -> str:
    return "last layer" if index == -1 else f"layer {index}"


def _memory(
    trainer: Trainer, experiment: Experiment, corpora: Mapping[str, Corpus], parameters: int
) -> int:
    """Estimate the memory of training, in bytes.

    The estimate counts float32 copies of the parameters (weights, gradients, two moments of Adam,
    and the average if any) and the activations that layers keep for the backward pass: about ten
    times their width for each token of the largest batch.
    """
    # Adam is the common case; other optimisers keep fewer copies.
    training = experiment.run.training
    copies = 5 if training.average else 4
    tokens = 0
    for name, corpus in corpora.items():
        limits = batch_limits(experiment.run, name, len(corpus.splits["train"]))
        loader = trainer.loaders[name]
        longest = 0 if isinstance(loader, Streams) else loader.longest
        chunks = (limits.streams or 0) * limits.bptt
        tokens = max(tokens, limits.max_tokens or 0, longest * (limits.sentences or 1), chunks)
    constants = sum(buffer.numel() for buffer in experiment.model.buffers())
    activations = 10 * tokens * sum(experiment.model.sharing.sizes)
    return 4 * (copies * parameters + constants + activations)


def describe(plan: Plan) -> Iterator[str]:
    """Yield the plan as lines of text."""
    for corpus, splits in plan.sentences.items():
        sizes = ", ".join(f"{split} {size:,}" for split, size in splits.items())
        yield f"corpus {corpus}: {sizes} sentences"
    for task, words in plan.tasks.items():
        yield f"task {task}: {words}"
    shapes = ", ".join(f"{name} {shape}" for name, shape in plan.shapes.items())
    yield f"shapes: {shapes} (B sentences, T tokens)"
    total = sum(plan.parameters.values())
    parts = ", ".join(f"{name} {count:,}" for name, count in plan.parameters.items())
    yield f"parameters: {total:,} ({parts})"
    for corpus, batches in plan.batches.items():
        draws = f", {plan.draws[corpus]:,} in the first epoch"
        if plan.accumulate > 1:
            steps = f"{plan.draws[corpus]:,} steps in the first epoch"
            draws = f", {plan.accumulate:,} per step, {steps}"
        elif plan.draws[corpus] == batches:
            draws = ""
        yield f"batches of {corpus}: {batches:,} per pass{draws}"
    position = "; the next epoch continues each corpus at the same position"
    if plan.accumulate == 1 and list(plan.batches.values()) == [plan.steps]:
        position = ", one pass"
    repeats = "; a pass repeats some sentences and leaves out others" if plan.repeats else ""
    yield f"epoch: {plan.steps:,} steps{position}{repeats}"
    mebibytes = max(1, plan.memory / 2**20)
    yield f"memory: about {mebibytes:,.0f} MiB for weights, optimiser and activations"
    yield f"operators: {plan.operators}"
    for note in plan.notes:
        yield f"note: {note}"
