"""What a run is going to do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.experiment import Experiment, count_malformed
from mtl.experiment.loaders import batch_limits
from mtl.training.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Args:
        sentences: Corpus to split to the number of sentences.
        tasks: Task to its corpus, head, layer and number of labels, in words.
        shapes: Layer to the shape of what comes out of it.
        parameters: Part of the model to its number of parameters.
        batches: Corpus to the number of batches in one pass over its training data.
        draws: Corpus to the number of its batches in the first epoch of the run.
        steps: Steps of an epoch.
        memory: Bytes that training takes, roughly.
        notes: What the user should know of the data.
    """

    sentences: Mapping[str, Mapping[str, int]]
    tasks: Mapping[str, str]
    shapes: Mapping[str, str]
    parameters: Mapping[str, int]
    batches: Mapping[str, int]
    draws: Mapping[str, int]
    steps: int
    memory: int
    notes: list[str]


def make_plan(experiment: Experiment, corpora: Mapping[str, Corpus], trainer: Trainer) -> Plan:
    """Return the plan of a run that is ready to train."""
    run, model = experiment.run, experiment.model
    parts = {"embedding": model.embedding, "trunk": model.sharing}
    parts |= {f"head {name}": head for name, head in model.heads.items()}
    if model.label_vectors:
        parts["label vectors"] = model.label_vectors
    parameters: dict[str, int] = {}
    counted: set[nn.Parameter] = set()
    for name, module in parts.items():
        own = set(module.parameters()) - counted  # tied outputs are those of the embedding
        counted |= own
        parameters[name] = sum(p.numel() for p in own)
    layers = ("embedding", *(f"layer {i}" for i in range(1, len(model.sharing.sizes))))
    notes = [*experiment.notes]
    notes += [f"{name}: {note}" for name, corpus in corpora.items() for note in corpus.notes]
    notes += [
        f"{task}: tags that break the scheme, read as conlleval reads them: {count}"
        for task, count in count_malformed(run, corpora).items()
    ]
    notes += [
        f"{name}: windows more than sentences, as some have over {run.training.max_length} "
        f"tokens: {loader.windowed}"
        for name, loader in trainer.loaders.items()
        if loader.windowed
    ]
    if not trainer.evaluate:
        notes.append("no corpus has a dev split: the last epoch is kept, patience has no effect")
    if trainer.weighting.note:
        notes.append(trainer.weighting.note)
    thawed = 1 + max(group.get("since", 0) for group in trainer.optimizer.param_groups)
    if thawed > trainer.epochs:
        notes.append(
            f"gradual: the lowest layer would train from epoch {thawed} on, and there are "
            f"{trainer.epochs}"
        )
    return Plan(
        sentences={n: {s: len(own) for s, own in c.splits.items()} for n, c in corpora.items()},
        tasks={
            name: f"{task.use}, {_head(run, name)}, layer {task.layer}, "
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
        steps=trainer.sampler.steps_per_epoch,
        memory=_memory(experiment, corpora, sum(parameters.values())),
        notes=notes,
    )


def _head(run: Run, task: str) -> str:
    head = run.tasks[task].head
    return f"head of {head}" if isinstance(head, str) else f"head {head.type}"


def _memory(experiment: Experiment, corpora: Mapping[str, Corpus], parameters: int) -> int:
    """Return the bytes of training, roughly.

    Weights, gradients, two moments of Adam and the average, four bytes each; and for every token
    of the largest batch what the layers keep for the backward pass, some ten times their width.
    """
    training = experiment.run.training
    copies = 5 if training.average else 4
    tokens = 0
    for name, corpus in corpora.items():
        limits = batch_limits(experiment.run, name)
        longest = min(int(corpus.splits["train"].lengths.max()), training.max_length)
        pieces = (limits.streams or 0) * limits.bptt
        tokens = max(tokens, limits.max_tokens or 0, longest * (limits.sentences or 1), pieces)
    return 4 * (copies * parameters + 10 * tokens * sum(experiment.model.sharing.sizes))


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
        yield f"batches of {corpus}: {batches:,} a pass, {plan.draws[corpus]:,} in the first epoch"
    yield (
        f"an epoch: {plan.steps:,} steps; a corpus goes on where it stopped, so no sentence is "
        "dropped"
    )
    mebibytes = max(1, plan.memory / 2**20)
    yield f"memory: about {mebibytes:,.0f} MiB for weights, optimiser and activations"
    for note in plan.notes:
        yield f"note: {note}"
