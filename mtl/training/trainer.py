"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.data.lessons import TaughtLoader
from mtl.data.loader import Loader
from mtl.data.mixing import Draw, Sampler
from mtl.data.streams import Streams
from mtl.errors import TrainingError
from mtl.layers.state_imitation import StateProjection
from mtl.model import ModelOutput, MultiTaskModel
from mtl.runs.checkpoint import constants_of
from mtl.training.ahead import ahead
from mtl.training.averaging import Average
from mtl.training.counts import StepCounts, count_step
from mtl.training.divergence import LossWatch, cause, not_finite
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Gradients, Step
from mtl.training.gradients import GradientNoise, read_gradients
from mtl.training.learnt import learned_quantities
from mtl.training.objective import LossUnit, learnable, mean_loss
from mtl.training.precision import LossScale, Precision, autocast
from mtl.training.processes import ALONE, Processes
from mtl.training.professor import ProfessorForcing
from mtl.training.replay import Replay
from mtl.training.schedules import Schedule
from mtl.training.selection import Selection
from mtl.training.sums import EpochSums, transfer
from mtl.training.update import Update
from mtl.trunks.base import mapped
from mtl.weighting.base import Weighting
from mtl.weighting.gradients import TaskGradients


class _Backward(NamedTuple):
    """The results of the backward passes of a step.

    Args:
        losses: The loss by task, scalars.
        penalties: Further terms of the loss by name, scalars.
        weights: The weight of the loss, by task.
        weighted: The weighted loss by task, scalars.
        gradients: Gradient statistics, if they are due.
    """

    losses: Mapping[str, Tensor]
    penalties: Mapping[str, Tensor]
    weights: Mapping[str, float]
    weighted: Mapping[str, Tensor]
    gradients: Gradients | None


class Trainer:
    """The training loop: draw batches, combine the losses, update the weights, evaluate per epoch.

    Args:
        model: The model.
        weighting: Balances the losses.
        batcher: Converts examples to batches.
        loaders: The training batches of each corpus.
        tasks: The tasks of each corpus.
        sampler: Chooses the corpus and batch of each step.
        optimizer: The optimiser; see `Update`.
        learning_rate: Factor of the learning rates by step.
        selection: Selects the best epoch and decides on early stopping.
        evaluate: Returns the scores on the development sets; None if no task can be scored.
        epochs: The largest number of epochs.
        clip_norm: Largest global norm of the gradients; None for no clipping.
        clip_value: Largest absolute value of a gradient, after `clip_norm`; None for no limit.
        noise: Noise on the gradients, after clipping; None for none.
        accumulate: The number of consecutive batches of a corpus that a step consists of. Their
            losses are divided by the units of all of them, as if they were one batch.
        loss_unit: The unit that the loss of a step is a mean over.
        precision: The type of embedding and trunks in training; weights, heads and losses are
            float32.
        average: Average of the weights, used in evaluation; None for the raw weights.
        device: The device of the computation.
        log_gradients: Every Nth step computes gradient statistics.
        gold_share: Returns the share of gold labels in the loss of sentences with the output of a
            teacher, at a step, counted from 0.
        processes: The processes that train together. Each has a trainer whose loaders return its
            part of each batch, and all of them run in step.
        imitation: The map from the last layer to the hidden states of teachers; None for none. It
            is trained like the model, but is not part of it.
        professor: The discriminators of professor forcing, which are trained in the same way; None
            for none.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        weighting: Weighting,
        *,
        batcher: Batcher,
        loaders: Mapping[str, Loader | TaughtLoader | Streams],
        tasks: Mapping[str, Sequence[str]],
        sampler: Sampler,
        optimizer: torch.optim.Optimizer,
        learning_rate: Schedule,
        selection: Selection,
        evaluate: Callable[[], Evaluation] | None,
        epochs: int,
        clip_norm: float | None,
        clip_value: float | None = None,
        noise: GradientNoise | None = None,
        accumulate: int = 1,
        loss_unit: LossUnit = "token",
        precision: Precision = "fp32",
        average: Average | None,
        device: torch.device,
        log_gradients: int = 100,
        gold_share: Callable[[int], float] = lambda step: 1.0,
        processes: Processes = ALONE,
        imitation: StateProjection | None = None,
        professor: ProfessorForcing | None = None,
    ) -> None:
        self.model = model
        self.weighting = weighting
        self.batcher = batcher
        self.loaders = loaders
        self.tasks = tasks
        self.sampler = sampler
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.selection = selection
        self.evaluate = evaluate
        self.epochs = epochs
        self.accumulate = accumulate
        self.loss_unit: LossUnit = loss_unit
        self.precision = precision
        self.average = average
        self.device = device
        self.log_gradients = log_gradients
        self.gold_share = gold_share
        self.processes = processes
        self.imitation = imitation
        self.professor = professor
        self.companions: dict[str, nn.Module] = {
            name: module
            for name, module in {"imitation": imitation, "professor": professor}.items()
            if module is not None
        }
        """The modules that are trained with the model, but are not part of it."""
        self.epoch = 0
        self.step = 0
        self.place = 0
        """The number of draws of the sampler in the current epoch that are done.

        Unlike `step`, it counts steps that were skipped. It is equal in all processes of a run."""
        self.sums = EpochSums()
        """The sums over the steps of the current epoch so far."""
        self.best: dict[str, Tensor] = {}
        """The best weights so far, if the learning rate's schedule restarts from them."""
        self.best_weighting: dict[str, Tensor] = {}
        """The state of the weighting after the epoch with the best weights."""
        self.carried: dict[str, Any] = {}
        """The state of the trunk after the last chunk, by corpus of running text."""
        self.watch = LossWatch()
        self._penalty_names: dict[Any, list[str]] = {}
        self.update = Update(
            [*chain(model.parameters(), *(m.parameters() for m in self.companions.values()))],
            optimizer,
            clip_norm=clip_norm,
            clip_value=clip_value,
            noise=noise,
            average=average,
            loss_scale=LossScale() if precision == "fp16" else None,
        )

    def run(self) -> Iterator[Step | Epoch]:
        """Train, and yield each step and epoch. The state can be saved after each of them."""
        while not self.finished:
            self.update.unfreeze(self.epoch)
            if not self.place:  # otherwise the state of the epoch has been restored
                self.model.sharing.begin_epoch(self.epoch)
            stopped = self.selection.stopped
            self.model.train()
            prepare = partial(self._parts, stopped=stopped)
            draws = islice(self.sampler.epoch(self.epoch), self.place, None)
            blocks = self._blocks()
            began = time.perf_counter()
            # The batches of a step are a function of its draws, so they can be made ahead of it.
            for parts in ahead(prepare, draws):
                if self.place in blocks:
                    self.model.sharing.begin_corpus()
                self.place += 1
                # A step without labels for the remaining tasks is skipped.
                if step := self._step(parts, began):
                    self.sums.add(step)
                    yield step
                began = time.perf_counter()
            yield self._end_epoch()

    def _blocks(self) -> set[int]:
        """Return the places of the epoch at which another corpus follows, if corpora are blocks."""
        if not self.sampler.mixing.in_blocks:
            return set()
        corpora = self.sampler.plan(self.epoch)
        return {i for i, pair in enumerate(pairwise(corpora), 1) if pair[0] != pair[1]}

    @property
    def finished(self) -> bool:
        """Whether no epoch remains to be trained."""
        if self.epoch >= self.epochs:
            return True
        return self.selection.finished or self.learning_rate.finished(self.selection.scores)

    def averaged(self) -> AbstractContextManager[None]:
        """Use the weights for evaluation and saving in the model within the context."""
        return self.average.applied() if self.average else nullcontext()

    def _parts(self, draws: Sequence[Draw], stopped: set[str]) -> list[dict[str, Batch]]:
        """Return the batches of a step by corpus, in one part per batch that is accumulated."""
        parts: list[dict[str, Batch]] = [{} for _ in range(self.accumulate)]
        for draw in draws:
            tasks = [task for task in self.tasks[draw.corpus] if task not in stopped]
            if not tasks:
                continue
            loader = self.loaders[draw.corpus]
            first = draw.index * self.accumulate
            indices = range(first, min(first + self.accumulate, loader.size))
            for part, index in zip(parts, indices, strict=False):
                batch = learnable(loader.batch(self.batcher, draw.epoch, index, tasks))
                if batch.tasks:
                    part[draw.corpus] = batch
        return [*map(self.batcher.merged, parts)] if self.sampler.mixing.one_batch else parts

    def _forward(self, corpus: str, batch: Batch) -> ModelOutput:
        """Run the model; chunks of running text start from the state after the previous chunk."""
        loader = self.loaders[corpus]
        with autocast(self.precision, self.device):
            if not isinstance(loader, Streams):
                output: ModelOutput = self.model(batch)
                return output
            if not batch.continues:
                self.carried[corpus] = self.model.sharing.initial_state(len(batch.mask))
            output = self.model(batch, self.carried[corpus])
            if self.professor:
                before = self.carried[corpus]
                loss = self.professor(self.model, self.batcher, batch, output.hidden, before)
                output = replace(output, penalties={**output.penalties, "professor": loss})
            # Truncated backpropagation: gradients end at the border of a chunk.
            state = output.state
            if loader.overlap:
                # The next chunk begins before the end of this one. Trunks return their last state
                # only, so the state at its beginning needs another pass.
                with torch.no_grad():
                    lead, state = batch.lead, self.carried[corpus]
                    state = self.model.encode(lead, batch.tasks, state).state if lead else state
        self.carried[corpus] = mapped(state, Tensor.detach)
        return output

    def _losses(
        self, part: Mapping[str, Batch], counts: StepCounts, gold_share: float
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses and the penalties of a part of a step.

        Args:
            part: The batches of the part by corpus.
            counts: The counts of the whole step.
            gold_share: The share of gold labels; see `mean_loss`.
        """
        losses: dict[str, Tensor] = {}
        penalties: dict[str, Tensor] = {}
        for corpus, batch in part.items():
            on_device = batch.to(self.device)
            output = self._forward(corpus, on_device)
            share = len(batch.mask) / counts.sentences[corpus]
            terms = output.penalties
            if share != 1:
                terms = {name: share * term for name, term in terms.items()}
            if self.imitation and on_device.states is not None:
                assert output.last is not None
                distance = self.imitation(output.last, on_device.states, on_device.mask)
                terms = {**terms, "hidden": distance / counts.imitated}
            for name, term in terms.items():
                penalties[name] = penalties[name] + term if name in penalties else term
            for task in on_device.tasks:
                loss = mean_loss(output, on_device, task, gold_share, counts.totals[task])
                # Teachers label the sentences of all corpora, which a step may contain together.
                losses[task] = losses[task] + loss if task in losses else loss
        return losses, penalties

    def _step(self, parts: Sequence[Mapping[str, Batch]], began: float) -> Step | None:
        """Train on the parts of a step; None if no process has labels for it."""
        gold_share = self.gold_share(self.step)
        counts = count_step(parts, self.tasks, gold_share, self.loss_unit, self.processes)
        if not counts.totals:
            return None
        parts = [part for part in parts if part]
        # Chunks of text have random lengths; a constant rate would favour the tokens of short ones
        # (Merity et al. 2017).
        factor = self.learning_rate.factor(self.step, self.selection.scores) * counts.lr_factor
        self.update.begin(factor)
        replay = Replay(self.device, self.carried) if self.weighting.reads_change else None
        losses, penalties, weights, weighted, gradients = self._backward(parts, counts, gold_share)
        total_penalty = {"total": torch.stack([*penalties.values()]).sum()} if penalties else {}
        norm, loss_values, weighted_values, penalty_values, penalty_sum = transfer(
            {"norm": self.update.norm()}, losses, weighted, penalties, total_penalty
        )
        updated = self.update.apply(norm["norm"], self.step)
        if not (updated or self.update.may_skip):
            found = cause(self.model, losses, weights, penalties, began=self.step > 0)
            raise self._diverged(not_finite(self.model, losses), found)
        if replay and updated:
            with replay(self.carried):
                after, _ = self._losses(parts[0], counts, gold_share)
            self.weighting.observe(losses, after)
        step = Step(
            epoch=self.epoch,
            step=self.step,
            losses=loss_values,
            weights=weights,
            weighted=weighted_values,
            penalties=penalty_values,
            total=sum(weighted_values.values()) + sum(penalty_sum.values()),
            gradients=gradients,
            lr=self.update.base_rates[0] * factor,
            grad_norm=norm["norm"] if updated else 0.0,
            tokens=dict(counts.tokens),
            seconds=time.perf_counter() - began,
            warning=self.watch.warning(self.step, loss_values),
        )
        self.step += 1
        return step

    def _backward(
        self, parts: Sequence[Mapping[str, Batch]], counts: StepCounts, gold_share: float
    ) -> _Backward:
        """Compute the gradients of the parts of a step, summed over all processes."""
        shared = [p for p in self.model.shared_parameters() if p.requires_grad]
        due = self.step % self.log_gradients == 0
        logged = due and len(counts.totals) > 1 and len(shared) > 0
        gradients = TaskGradients()
        losses: dict[str, Tensor] = {}
        penalties: dict[str, Tensor] = {}
        whole = len(parts) == 1 and not self.processes.several
        for part in parts:
            own, terms = self._losses(part, counts, gold_share)
            if self.update.loss_scale:
                self.update.loss_scale.apply([*own.values(), *terms.values()])
            if logged:  # before the backward pass, which frees the graph
                gradients.add(own, shared)
            penalty = torch.stack([*terms.values()]).sum() if terms else None
            if whole:
                weights, weighted = self.weighting.backward(own, shared, penalty)
            else:
                self.weighting.add(own, shared, penalty)
            for sums, values in ((losses, own), (penalties, terms)):
                for name, value in values.items():
                    sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        if self.processes.several:
            rows = gradients.complete(counts.totals, shared) if logged else []
            losses, penalties = self._add_up(counts, losses, penalties, shared, rows)
        if not whole:
            weights, weighted = self.weighting.finish(losses, shared)
        statistics = self._read(losses, gradients) if logged else None
        return _Backward(losses, penalties, weights, weighted, statistics)

    def _add_up(
        self,
        counts: StepCounts,
        losses: Mapping[str, Tensor],
        penalties: Mapping[str, Tensor],
        shared: Sequence[nn.Parameter],
        rows: Sequence[Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Sum gradients over all processes; return the sums of the losses and penalties.

        Args:
            counts: The counts of the step.
            losses: The losses of this process by task.
            penalties: Its penalties by name.
            shared: The parameters that several tasks train.
            rows: Gradients of tasks to sum too.
        """
        # The names of penalties follow from these facts, which are equal in all processes.
        facts = (self.epoch, *counts.totals, None, *counts.sentences)
        if facts not in self._penalty_names:
            found = self.processes.gather(list(penalties))
            self._penalty_names[facts] = sorted({name for names in found for name in names})

        def completed(values: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
            zero = torch.zeros((), device=self.device)
            return {name: values.get(name, zero).clone() for name in names}

        all_losses = completed(losses, counts.totals)
        all_penalties = completed(penalties, self._penalty_names[facts])
        own = self.weighting.task_gradients
        kept = own.complete(counts.totals, shared) if own else []
        self.processes.add_up(
            self.update.parameters, [*all_losses.values(), *all_penalties.values(), *rows, *kept]
        )
        return all_losses, all_penalties

    def _read(self, tasks: Iterable[str], gradients: TaskGradients) -> Gradients | None:
        """Return the statistics of scaled gradients; None if they are not finite."""
        rows = gradients.take(tasks)
        if scale := self.update.loss_scale:
            if not rows.isfinite().all():
                return None
            rows /= scale.scale
        return read_gradients(tasks, rows)

    def _diverged(self, reason: str, found: tuple[str, str] | None = None) -> TrainingError:
        lr = self.optimizer.param_groups[0]["lr"]
        saved = "the best model so far is saved" if self.epoch else "no model has been saved yet"
        fact, remedy = found or ("", "train again with a lower training.optimizer.lr")
        because = f", since {fact}" if fact else ""
        return TrainingError(
            f"{reason} at step {self.step}, learning rate {lr:g}{because}; {saved}. "
            f"{remedy[0].upper()}{remedy[1:]}"
        )

    def _end_epoch(self) -> Epoch:
        with self.averaged():
            if not all(weight.isfinite().all() for weight in self.model.parameters()):
                raise self._diverged("weights are no longer finite")
            dev = self.evaluate() if self.evaluate else None
            scores = dev.scores() if dev else {}
            # NaN does not mean divergence; the selection treats it as the worst score.
            found = [*scores.values(), dev.losses if dev else {}]
            if any(math.isinf(value) for by_name in found for value in by_name.values()):
                raise self._diverged(f"scores are no longer finite ({scores})")
            # Without development sets, the last epoch is the best one.
            improved = self.selection.update(scores, dev.losses) if dev else True
            # Before `end_epoch` changes them: these are the weights that the epoch trained with.
            learned = learned_quantities(
                self.model.sharing, self.weighting, self.sampler, self.epoch
            )
            if improved and self.learning_rate.restarts:
                weights, constants = self.model.state_dict(), constants_of(self.model)
                self.best = {n: v.clone() for n, v in weights.items() if n not in constants}
        sums, self.sums, self.place = self.sums, EpochSums(), 0
        losses = sums.losses()
        self.weighting.end_epoch(losses)
        if improved and self.learning_rate.restarts:
            state = self.weighting.state_dict()
            self.best_weighting = {name: value.clone() for name, value in state.items()}
        # Outside of `averaged`, as this acts on the raw weights.
        if dev:
            self._apply_schedule(self.selection.scores)
        self.epoch += 1
        return Epoch(
            epoch=self.epoch - 1,
            step=self.step,
            losses=losses,
            dev=dev,
            score=self.selection.scores[-1] if dev else None,
            improved=improved,
            stopped=frozenset(self.selection.stopped),
            tokens_per_second=sums.speeds(),
            seconds=sums.seconds,
            snapshot=self._snapshot(),
            learnt=learned,
        )

    def _snapshot(self) -> int | None:
        """Return the number of the cycle that the last epoch ended, if its model is to be kept."""
        if not self.learning_rate.snapshots:
            return None
        cycle, rest = divmod(self.epoch, self.epochs // self.learning_rate.snapshots)
        return None if rest else cycle

    def _apply_schedule(self, scores: Sequence[float]) -> None:
        """Start the average, or restart from the best weights, if the scores require it."""
        if self.average:
            self.average.begin_if_due(scores)
        if self.learning_rate.restarting(scores):
            self.model.load_state_dict(self.best, strict=False)  # constants have not changed
            self.weighting.load_state_dict(self.best_weighting)
            # Moments that belong to other weights would lead away from the restored ones.
            self.optimizer.state.clear()
            if self.average:
                self.average.reset()
