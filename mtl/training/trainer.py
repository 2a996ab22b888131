"""The training loop."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.data.lessons import TaughtLoader
from mtl.data.loader import Loader
from mtl.data.mixing import Draw, Sampler
from mtl.data.streams import Streams
from mtl.errors import TrainingError
from mtl.model import ModelOutput, MultiTaskModel
from mtl.sharing.base import Sharing
from mtl.training.averaging import Average
from mtl.training.divergence import LossWatch, cause, not_finite
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Learnt, Step
from mtl.training.gradients import read_gradients
from mtl.training.log import logs_gradients
from mtl.training.objective import mean_loss
from mtl.training.schedules import Schedule
from mtl.training.selection import Selection
from mtl.trunks.base import mapped
from mtl.weighting.base import Weighting


class Trainer:
    """The training loop: draw batches, combine the losses, update the weights, evaluate per epoch.

    Args:
        model: The model.
        weighting: Balances the losses.
        batcher: Converts examples to batches.
        loaders: The training batches of each corpus.
        tasks: The tasks of each corpus.
        sampler: Chooses the corpus and batch of each step.
        optimizer: The optimiser. Parameters of a group with the key `since` train from that epoch
            on.
        learning_rate: Factor of the learning rates by step.
        selection: Selects the best epoch and decides on early stopping.
        evaluate: Returns the scores on the development sets; None if no task can be scored.
        epochs: The largest number of epochs.
        clip_norm: Largest global norm of the gradients; None for no clipping.
        average: Average of the weights, used in evaluation; None for the raw weights.
        device: The device of the computation.
        log_gradients: Returns whether to compute gradient statistics at a step, counted from 0.
        gold_share: Returns the share of gold labels in the loss of sentences with the output of a
            teacher, at a step, counted from 0.
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
        average: Average | None,
        device: torch.device,
        log_gradients: Callable[[int], bool] = logs_gradients,
        gold_share: Callable[[int], float] = lambda step: 1.0,
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
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.average = average
        self.device = device
        self.log_gradients = log_gradients
        self.gold_share = gold_share
        self.epoch = 0
        self.step = 0
        self.best: dict[str, Tensor] = {}
        """The best weights so far, if the learning rate's schedule restarts from them."""
        self.carried: dict[str, Any] = {}
        """The state of the trunk after the last chunk, by corpus of running text."""
        self._watch = LossWatch()
        self._base_lr = [group["lr"] for group in optimizer.param_groups]

    def run(self) -> Iterator[Step | Epoch]:
        """Train, and yield each step and epoch. The state can be saved after an `Epoch`."""
        while not self.finished:
            steps: list[Step] = []
            self._unfreeze()
            self.model.sharing.begin_epoch(self.epoch)
            stopped = self.selection.stopped
            self.model.train()
            for draws in self.sampler.epoch(self.epoch):
                began = time.perf_counter()
                # A step without labels for the remaining tasks is skipped.
                if batches := dict(self._batches(draws, stopped)):
                    steps.append(self._step(batches, began))
                    yield steps[-1]
            yield self._end_epoch(steps)

    @property
    def finished(self) -> bool:
        """Whether no epoch remains to be trained."""
        if self.epoch >= self.epochs:
            return True
        return self.selection.finished or self.learning_rate.finished(self.selection.scores)

    def _unfreeze(self) -> None:
        """Freeze the parameters of groups that train from a later epoch on; unfreeze the others."""
        for group in self.optimizer.param_groups:
            if "since" in group:
                for parameter in group["params"]:
                    parameter.requires_grad_(self.epoch >= group["since"])

    def averaged(self) -> AbstractContextManager[None]:
        """Use the weights for evaluation and saving in the model within the context."""
        return self.average.applied() if self.average else nullcontext()

    def _batches(self, draws: Sequence[Draw], stopped: set[str]) -> Iterator[tuple[str, Batch]]:
        for draw in draws:
            tasks = [task for task in self.tasks[draw.corpus] if task not in stopped]
            if tasks:
                loader = self.loaders[draw.corpus]
                batch = loader.batch(self.batcher, draw.epoch, draw.index, tasks)
                if batch.tasks:
                    yield draw.corpus, batch.to(self.device)

    def _forward(self, corpus: str, batch: Batch) -> ModelOutput:
        """Run the model; chunks of running text start from the state after the previous chunk."""
        if not self.loaders[corpus].carries:
            output: ModelOutput = self.model(batch)
            return output
        if not batch.continues:
            self.carried[corpus] = self.model.sharing.initial_state(len(batch.mask))
        output = self.model(batch, self.carried[corpus])
        # Truncated backpropagation: gradients end at the border of a chunk.
        self.carried[corpus] = mapped(output.state, Tensor.detach)
        return output

    def _step(self, batches: Mapping[str, Batch], began: float) -> Step:
        factor = self.learning_rate.factor(self.step, self.selection.scores)
        # Chunks of text have random lengths; a constant rate would favour the tokens of short ones
        # (Merity et al. 2017).
        factor *= sum(batch.lr_factor for batch in batches.values()) / len(batches)
        for group, base in zip(self.optimizer.param_groups, self._base_lr, strict=True):
            group["lr"] = base * factor
        losses: dict[str, Tensor] = {}
        penalties: dict[str, Tensor] = {}
        share = self.gold_share(self.step)
        for corpus, batch in batches.items():
            output = self._forward(corpus, batch)
            for name, term in output.penalties.items():
                penalties[name] = penalties[name] + term if name in penalties else term
            for task in batch.tasks:
                loss = mean_loss(output, batch, task, share)
                # Teachers label the sentences of all corpora, which a step may contain together.
                losses[task] = losses[task] + loss if task in losses else loss
        # None rather than zero: the optimiser skips parameters without a gradient, so the heads of
        # absent tasks are not moved by their moments.
        self.optimizer.zero_grad(set_to_none=True)
        penalty = torch.stack([*penalties.values()]).sum() if penalties else None
        shared = [p for p in self.model.sharing.shared_parameters() if p.requires_grad]
        comparable = len(losses) > 1 and len(shared) > 0
        # Before the backward pass, which frees the graph.
        logged = comparable and self.log_gradients(self.step)
        gradients = read_gradients(losses, shared) if logged else None
        weights, weighted = self.weighting.backward(losses, shared, penalty)
        try:
            norm = self._clip()
        except RuntimeError as error:
            found = cause(self.model, losses, weights, penalties, began=self.step > 0)
            raise self._diverged(not_finite(self.model, losses), found) from error
        self.optimizer.step()
        if self.average:
            self.average.update()
        total_penalty = {} if penalty is None else {"total": penalty}
        loss_values, weighted_values, penalty_values, penalty_sum = _transfer(
            losses, weighted, penalties, total_penalty
        )
        step = Step(
            epoch=self.epoch,
            step=self.step,
            losses=loss_values,
            weights=weights,
            weighted=weighted_values,
            penalties=penalty_values,
            total=sum(weighted_values.values()) + sum(penalty_sum.values()),
            gradients=gradients,
            lr=self._base_lr[0] * factor,
            grad_norm=norm,
            tokens={task: batch.tokens for batch in batches.values() for task in batch.tasks},
            seconds=time.perf_counter() - began,
            warning=self._watch.warning(self.step, loss_values),
        )
        self.step += 1
        return step

    def _clip(self) -> float:
        """Clip the gradients and return their norm before.

        Raises:
            RuntimeError: It is not finite. The gradients are unchanged, to find the cause.
        """
        # With an infinite `clip_norm` nothing is clipped, but the norm is still computed.
        parameters = self.model.parameters()
        return clip_grad_norm_(parameters, self.clip_norm, error_if_nonfinite=True).item()

    def _diverged(self, reason: str, found: tuple[str, str] | None = None) -> TrainingError:
        lr = self.optimizer.param_groups[0]["lr"]
        saved = "the best model so far is saved" if self.epoch else "no model has been saved yet"
        fact, remedy = found or ("", "train again with a lower training.optimizer.lr")
        because = f", since {fact}" if fact else ""
        return TrainingError(
            f"{reason} at step {self.step}, learning rate {lr:g}{because}; {saved}. "
            f"{remedy[0].upper()}{remedy[1:]}"
        )

    def _end_epoch(self, steps: Sequence[Step]) -> Epoch:
        with self.averaged():
            if not all(weight.isfinite().all() for weight in self.model.parameters()):
                raise self._diverged("weights are no longer finite")
            dev = self.evaluate() if self.evaluate else None
            scores = dev.scores() if dev else {}
            # NaN does not mean divergence; the selection treats it as the worst score.
            if any(math.isinf(value) for by_name in scores.values() for value in by_name.values()):
                raise self._diverged(f"scores are no longer finite ({scores})")
            # Without development sets, the last epoch is the best one.
            improved = self.selection.update(scores) if dev else True
            # Before `end_epoch` changes them: these are the weights that the epoch trained with.
            learned = self._learned_quantities()
            if improved and self.learning_rate.restarts:
                self.best = {n: value.clone() for n, value in self.model.state_dict().items()}
        # Outside of `averaged`, as this acts on the raw weights.
        if dev:
            self._apply_schedule(self.selection.scores)
        self.epoch += 1
        losses = _means(steps)
        self.weighting.end_epoch(losses)
        return Epoch(
            epoch=self.epoch - 1,
            step=self.step,
            losses=losses,
            dev=dev,
            score=self.selection.scores[-1] if dev else None,
            improved=improved,
            stopped=frozenset(self.selection.stopped),
            tokens_per_second=_speeds(steps),
            seconds=sum(step.seconds for step in steps),
            learnt=learned,
        )

    def _learned_quantities(self) -> dict[str, Learnt]:
        parts: dict[str, Sharing | Weighting] = {
            "sharing": self.model.sharing,
            "weighting": self.weighting,
        }
        quantities = {
            f"{kind}.{name}": Learnt(values.detach().cpu().clone(), part.axes().get(name, ()))
            for kind, part in parts.items()
            for name, values in part.learnt().items()
        }
        if self.sampler.mixing.needs_scores:
            draws = self.sampler.counts(self.epoch)
            shares = torch.tensor([*draws.values()]) / sum(draws.values())
            quantities["mixing.shares"] = Learnt(shares, (list(draws),))
        return quantities

    def _apply_schedule(self, scores: Sequence[float]) -> None:
        """Start the average, or restart from the best weights, if the scores require it."""
        if self.average:
            self.average.begin_if_due(scores)
        if self.learning_rate.restarting(scores):
            self.model.load_state_dict(self.best)
            # Moments that belong to other weights would lead away from the restored ones.
            self.optimizer.state.clear()
            if self.average:
                self.average.reset()


def _transfer(*groups: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Return the values of several groups of scalars, with one transfer from their device."""
    scalars = [x.detach() for group in groups for x in group.values()]
    values = iter(torch.stack(scalars).tolist())
    return [{name: next(values) for name in group} for group in groups]


def _means(steps: Sequence[Step]) -> dict[str, float]:
    losses = defaultdict(list)
    for step in steps:
        for task, loss in step.losses.items():
            losses[task].append(loss)
    return {task: sum(values) / len(values) for task, values in losses.items()}


def _speeds(steps: Sequence[Step]) -> dict[str, float]:
    tokens: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        for task, count in step.tokens.items():
            tokens[task] += count
            seconds[task] += step.seconds
    return {task: tokens[task] / max(seconds[task], 1e-9) for task in tokens}
