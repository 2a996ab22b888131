"""Build the trainer of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from math import prod

import torch

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.data.batch import Batch
from mtl.data.corpus import Corpus
from mtl.data.lessons import TaughtLoader
from mtl.data.loader import Loader
from mtl.data.mixing import Sampler
from mtl.data.streams import Streams
from mtl.errors import ConfigError
from mtl.experiment.checks.goals import targets
from mtl.experiment.checks.run import adversaries
from mtl.experiment.checks.scores import check_scores, scorable_tasks
from mtl.experiment.consolidation import anchored
from mtl.experiment.corpora import tasks_of
from mtl.experiment.distillation.teaching import Teaching
from mtl.experiment.experiment import Experiment
from mtl.experiment.groups import freeze, make_optimizer
from mtl.experiment.kinds import build
from mtl.experiment.loaders import make_loader
from mtl.layers.state_discriminator import StateDiscriminator
from mtl.layers.state_imitation import StateProjection
from mtl.metrics import METRICS
from mtl.model import MultiTaskModel
from mtl.training.gradients import GradientNoise
from mtl.training.moments import Moments
from mtl.training.processes import ALONE, Processes
from mtl.training.professor import ProfessorForcing
from mtl.training.progress import reached
from mtl.training.schedules import SCHEDULES, Schedule
from mtl.training.selection import Selection
from mtl.training.trainer import Trainer
from mtl.weighting import Weighting


def make_trainer(
    experiment: Experiment,
    corpora: Mapping[str, Corpus],
    teaching: Teaching | None = None,
    processes: Processes = ALONE,
) -> Trainer:
    """Build the trainer of a run, in its initial state.

    Args:
        experiment: The run and its model.
        corpora: The corpora by name.
        teaching: The outputs of its teachers, if it has any.
        processes: The processes that train together, each with a trainer of its own.

    Raises:
        ConfigError: The weighting needs shared parameters, and there are none to train; or the run
            depends on scores that the labels of the development sets do not allow.
    """
    run, model = experiment.run, experiment.model
    training = run.training
    own_tasks = {name: tasks_of(run, name) for name in corpora}
    own_loaders = {
        name: make_loader(
            run,
            corpus,
            "train",
            own_tasks[name],
            batcher=experiment.batcher,
            part=processes.part,
        )
        for name, corpus in corpora.items()
    }
    teaching = teaching or Teaching()
    loaders = teaching.loaders(experiment, own_loaders, processes.part)
    tasks = teaching.tasks(own_tasks)
    weights = {name: task.weight for name, task in run.tasks.items()}
    weighting = build("weighting", run.weighting, weights).to(experiment.device)
    imitation = None
    if teaching.states:
        width = model.sharing.sizes[-1] + model.embedding.head_size
        imitation = StateProjection(width, teaching.states.width, teaching.states.weight)
    # Freezing comes first: it decides which shared parameters have gradients.
    freeze(run, model)
    _check_weighting(run, model, weighting, processes)
    _check_precision(run, experiment.device)
    scored = scorable_tasks(run, corpora)
    check_scores(run, scored)
    selection = _selection(run, scored)
    sampler = Sampler(
        build(
            "mixing",
            training.mixing,
            {name: -(-loader.size // training.accumulate) for name, loader in loaders.items()},
            training.epochs,
        ),
        run.seed,
        {name: prod(run.tasks[task].sampling for task in own) for name, own in own_tasks.items()},
        training.epoch_steps,
        # The mixing `progress` reads the dev scores.
        partial(reached, selection, tasks, targets(run, selection.averaged)),
    )
    # Initial weights may differ in their last bits between machines.
    processes.copy_from_main(model)
    processes.copy_from_main(weighting)
    professor = _professor(experiment, loaders)
    companions = [module for module in (imitation, professor) if module is not None]
    for module in companions:
        processes.copy_from_main(module.to(experiment.device))
    model.anchor = anchored(experiment, corpora)
    processes.separate_random(run.seed)
    steps = training.epochs * sampler.steps_per_epoch
    average = build("average", training.average, model) if training.average else None
    if average:
        average.moments = Moments(model, partial(_one_pass, experiment, own_loaders, own_tasks))
    return Trainer(
        model,
        weighting,
        batcher=experiment.batcher,
        loaders=loaders,
        tasks=tasks,
        sampler=sampler,
        optimizer=make_optimizer(run, model, weighting, companions),
        learning_rate=_schedule(training.schedule, steps, sampler.steps_per_epoch),
        selection=selection,
        evaluate=partial(experiment.validate, list(corpora.values()), processes)
        if scored
        else None,
        epochs=training.epochs,
        clip_norm=training.clip_norm,
        clip_value=training.clip_value,
        noise=GradientNoise(scale, run.seed) if (scale := training.gradient_noise) else None,
        accumulate=training.accumulate,
        loss_unit=training.loss_unit,
        precision=training.precision,
        average=average,
        device=experiment.device,
        log_gradients=training.log_gradients,
        gold_share=teaching.gold_share(steps),
        processes=processes,
        imitation=imitation,
        professor=professor,
    )


def _professor(
    experiment: Experiment, loaders: Mapping[str, Loader | TaughtLoader | Streams]
) -> ProfessorForcing | None:
    """Return the discriminators of the tasks that predict the next word of running text."""
    options, model = experiment.run.training.professor_forcing, experiment.model
    if options is None:
        return None
    streams = [loader for loader in loaders.values() if isinstance(loader, Streams)]
    sides = {task: side for own in streams for task, side in own.sides.items()}
    return ProfessorForcing(
        {
            task: StateDiscriminator(
                model.head(task).in_features, options.hidden_size, options.weight
            )
            for task, side in sides.items()
            if side == "next"
        }
    )


def _selection(run: Run, scored: Collection[str]) -> Selection:
    """Return the selection of the best epoch.

    Args:
        run: The run.
        scored: The tasks that can be scored on their development sets.
    """
    training = run.training
    return Selection(
        training.metric,
        {task: METRICS.find(run.tasks[task].metric.type).higher_is_better for task in scored},
        patience=training.patience,
        task_patience={t: p for t in scored if (p := run.tasks[t].patience) is not None},
        adversaries=adversaries(run),
    )


def _schedule(part: Part, steps: int, steps_per_epoch: int) -> Schedule:
    """Return the schedule of the learning rate, with the default warm-up if it has none."""
    options = SCHEDULES.find(part.type).with_warmup(part.options, steps_per_epoch)
    schedule: Schedule = build("schedule", Part(type=part.type, options=options), steps)
    return schedule


def _check_weighting(
    run: Run, model: MultiTaskModel, weighting: Weighting, processes: Processes
) -> None:
    """Check that a weighting that reads shared gradients can read them."""
    if processes.several and weighting.reads_gradients and weighting.task_gradients is None:
        raise ConfigError(
            f"weighting: {run.weighting.type!r} reads gradients, and keeps none in "
            "`task_gradients`, which several processes add up; train in one process"
        )
    shared = model.shared_parameters()
    if weighting.reads_gradients and not any(p.requires_grad for p in shared):
        raise ConfigError(
            f"weighting: {run.weighting.type!r} needs shared trainable parameters, and there are "
            "none (embedding and trunk are frozen); train them, or choose another weighting"
        )


def _check_precision(run: Run, device: torch.device) -> None:
    """Check that the device has the precision of the training."""
    if run.training.precision == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"training.precision: fp16 needs a CUDA device, and the device is {device.type}; "
            "choose bf16 or fp32"
        )


def _one_pass(
    experiment: Experiment,
    loaders: Mapping[str, Loader | Streams],
    tasks: Mapping[str, Sequence[str]],
) -> Iterator[Batch]:
    """Yield the batches of a pass over all training sentences."""
    curriculum = experiment.run.training.curriculum
    number = curriculum.passes if curriculum else 0  # earlier passes lack the difficult sentences
    for name, loader in loaders.items():
        for index in range(loader.size):
            batch = loader.batch(experiment.batcher, number, index, tasks[name])
            if batch.tasks:
                yield batch
