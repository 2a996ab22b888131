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

from mtl.data.batch import Batch, labelled
from mtl.data.encoding import Batcher
from mtl.data.loader import Loader
from mtl.data.mixing import Draw, Sampler
from mtl.data.streams import Streams
from mtl.errors import TrainingError
from mtl.model import ModelOutput, MultiTaskModel
from mtl.sharing.base import Sharing
from mtl.training.averaging import Average
from mtl.training.evaluation import Evaluation
from mtl.training.events import RARE, Epoch, Learnt, Step
from mtl.training.gradients import read_gradients
from mtl.training.schedules import Schedule
from mtl.training.selection import Selection
from mtl.trunks.base import mapped
from mtl.weighting.base import Weighting


class Trainer:
    """Draws batches, runs the model, weighs the losses, steps, and evaluates once an epoch.

    Args:
        model: What is trained.
        weighting: Balances the losses.
        batcher: Makes batches of examples.
        loaders: Corpus to its training batches.
        tasks: Corpus to the tasks that its sentences are labelled for.
        sampler: Which batch of which corpus each step takes.
        optimizer: Changes the weights; those of a group with `since` from that epoch on.
        learning_rate: Factor of the learning rates, by step.
        selection: Follows the scores.
        evaluate: Scores the model on the development sets; None: there are none.
        epochs: The number of epochs, at most.
        clip_norm: The global norm of the gradients is cut to this; None: never.
        average: Average of the weights, which is what is evaluated; None: no average.
        device: Where to compute.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        weighting: Weighting,
        *,
        batcher: Batcher,
        loaders: Mapping[str, Loader | Streams],
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
        self.epoch = 0
        self.step = 0
        self.best: dict[str, Tensor] = {}
        """The best weights so far, where the learning rate's schedule goes back to them."""
        self.carried: dict[str, Any] = {}
        """Corpus to the state that its streams are in."""
        self._base_lr = [group["lr"] for group in optimizer.param_groups]

    def run(self) -> Iterator[Step | Epoch]:
        """Train; yield what happens as it happens. After an `Epoch` the state may be saved."""
        while self.epoch < self.epochs and not self._finished:
            steps: list[Step] = []
            self._thaw()
            self.model.sharing.begin_epoch(self.epoch)
            resting = self.selection.resting
            self.model.train()
            for draws in self.sampler.epoch(self.epoch):
                began = time.perf_counter()
                if batches := dict(self._batches(draws, resting)):
                    steps.append(self._step(batches, began))
                    yield steps[-1]
            yield self._end_epoch(steps)

    @property
    def _finished(self) -> bool:
        return self.selection.finished or self.learning_rate.finished(self.selection.scores)

    def _thaw(self) -> None:
        """Let those weights train whose epoch has come, and no others."""
        for group in self.optimizer.param_groups:
            if "since" in group:
                for parameter in group["params"]:
                    parameter.requires_grad_(self.epoch >= group["since"])

    def averaged(self) -> AbstractContextManager[None]:
        """Give the model the weights that are evaluated and saved, while the context lasts."""
        return self.average.applied() if self.average else nullcontext()

    def _batches(self, draws: Sequence[Draw], resting: set[str]) -> Iterator[tuple[str, Batch]]:
        for draw in draws:
            tasks = [task for task in self.tasks[draw.corpus] if task not in resting]
            if tasks:
                loader = self.loaders[draw.corpus]
                batch = loader.batch(self.batcher, draw.epoch, draw.index, tasks)
                if batch.targets:
                    yield draw.corpus, batch.to(self.device)

    def _forward(self, corpus: str, batch: Batch) -> ModelOutput:
        """Run the model, for streams from the state in which they are."""
        if not self.loaders[corpus].carries:
            output: ModelOutput = self.model(batch)
            return output
        if not batch.continues:
            self.carried[corpus] = self.model.sharing.initial_state(len(batch.mask))
        output = self.model(batch, self.carried[corpus])
        self.carried[corpus] = mapped(output.state, Tensor.detach)
        return output

    def _step(self, batches: Mapping[str, Batch], began: float) -> Step:
        factor = self.learning_rate.factor(self.step, self.selection.scores)
        factor *= sum(batch.lr_factor for batch in batches.values()) / len(batches)
        for group, base in zip(self.optimizer.param_groups, self._base_lr, strict=True):
            group["lr"] = base * factor
        losses: dict[str, Tensor] = {}
        penalties: dict[str, Tensor] = {}
        for corpus, batch in batches.items():
            output = self._forward(corpus, batch)
            for name, term in output.penalties.items():
                penalties[name] = penalties[name] + term if name in penalties else term
            losses |= {task: _mean(loss, batch, task) for task, loss in output.losses.items()}
        self.optimizer.zero_grad(set_to_none=True)
        penalty = torch.stack([*penalties.values()]).sum() if penalties else None
        shared = [p for p in self.model.sharing.shared_parameters() if p.requires_grad]
        telling = self.step % RARE == 0 and len(losses) > 1 and len(shared) > 0
        gradients = read_gradients(losses, shared) if telling else None
        with torch.no_grad():
            weighted = {t: own.item() for t, own in self.weighting.combine(losses).items()}
        weights = self.weighting.backward(losses, shared, penalty)
        norm = self._update()
        step = Step(
            epoch=self.epoch,
            step=self.step,
            losses={task: loss.item() for task, loss in losses.items()},
            weights=weights,
            weighted=weighted,
            penalties={name: term.item() for name, term in penalties.items()},
            total=sum(weighted.values()) + (0.0 if penalty is None else penalty.item()),
            gradients=gradients,
            lr=self._base_lr[0] * factor,
            grad_norm=norm,
            tokens={task: batch.tokens for batch in batches.values() for task in batch.targets},
            seconds=time.perf_counter() - began,
        )
        self.step += 1
        return step

    def _update(self) -> float:
        norm = clip_grad_norm_(self.model.parameters(), self.clip_norm).item()
        if not math.isfinite(norm):
            raise self._diverged(f"the gradients are no longer finite (norm {norm})")
        self.optimizer.step()
        if self.average:
            self.average.update()
        return norm

    def _diverged(self, what: str) -> TrainingError:
        lr = self.optimizer.param_groups[0]["lr"]
        kept = "the best model so far is kept" if self.epoch else "no epoch has left a model yet"
        return TrainingError(
            f"{what} at step {self.step}, learning rate {lr:g}; {kept}. Train anew with a lower "
            "training.optimizer.lr"
        )

    def _end_epoch(self, steps: Sequence[Step]) -> Epoch:
        with self.averaged():
            if not all(weight.isfinite().all() for weight in self.model.parameters()):
                raise self._diverged("weights are no longer finite")
            dev = self.evaluate() if self.evaluate else None
            scores = dev.scores() if dev else {}
            if any(math.isinf(score) for own in scores.values() for score in own.values()):
                raise self._diverged(f"scores are no longer finite ({scores})")
            improved = self.selection.update(scores) if dev else True
            learnt = self._learnt()
            if improved and self.learning_rate.restarts:
                self.best = {n: value.clone() for n, value in self.model.state_dict().items()}
        if dev:
            self._follow(self.selection.scores)
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
            resting=frozenset(self.selection.resting),
            tokens_per_second=_speeds(steps),
            seconds=sum(step.seconds for step in steps),
            learnt=learnt,
        )

    def _learnt(self) -> dict[str, Learnt]:
        parts: dict[str, Sharing | Weighting] = {
            "sharing": self.model.sharing,
            "weighting": self.weighting,
        }
        found = {
            f"{kind}.{name}": Learnt(values.detach().cpu().clone(), part.axes().get(name, ()))
            for kind, part in parts.items()
            for name, values in part.learnt().items()
        }
        if self.sampler.mixing.needs_scores:
            drawn = self.sampler.counts(self.epoch)
            shares = torch.tensor([*drawn.values()]) / sum(drawn.values())
            found["mixing.shares"] = Learnt(shares, (list(drawn),))
        return found

    def _follow(self, scores: Sequence[float]) -> None:
        """Begin the average or go back to the best weights, if the scores say so."""
        if self.average:
            self.average.begin_if_due(scores)
        if self.learning_rate.restarting(scores):
            self.model.load_state_dict(self.best)
            self.optimizer.state.clear()
            if self.average:
                self.average.reset()


def _mean(losses: Tensor, batch: Batch, task: str) -> Tensor:
    """Return the loss per labelled token (taggers) or sentence (classifiers)."""
    return losses.sum() / labelled(batch.targets[task]).sum().clamp(min=1)


def _means(steps: Sequence[Step]) -> dict[str, float]:
    losses = defaultdict(list)
    for step in steps:
        for task, loss in step.losses.items():
            losses[task].append(loss)
    return {task: sum(own) / len(own) for task, own in losses.items()}


def _speeds(steps: Sequence[Step]) -> dict[str, float]:
    tokens: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        for task, count in step.tokens.items():
            tokens[task] += count
            seconds[task] += step.seconds
    return {task: tokens[task] / max(seconds[task], 1e-9) for task in tokens}
