"""Weights by the change of the losses in each step. Letters: K tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

from mtl.options import NonNegativeFloat, PositiveFloat
from mtl.weighting.base import Weighting, check_not_negative, values_of


class FAMO(Weighting):
    """FAMO: let the logarithms of all losses fall at the same rate (Liu et al. 2023).

    The step follows Σ_t z_t · log L_t with z = softmax(ξ), divided by Σ_t z_t / L_t. The weight of
    a task is therefore K · (z_t / L_t) / Σ_i (z_i / L_i), times its weight in the run file, where
    K is the number of tasks of the step. After the step, the losses of the same batches are
    computed again, with the same dropout. If log L_t fell by d_t, ξ_t moves along
    −z_t · (d_t − Σ_i z_i · d_i): tasks that fell less get more weight. As in the code of the
    authors, Adam makes this move. No gradients of single tasks are needed, but each step costs one
    more forward pass.

    A step with one task has the weight of the run file, so use the mixing `joint` for tasks of
    several corpora.

    Args:
        tasks: All tasks with their weights from the run file.
        lr: Learning rate of ξ.
        decay: Weight decay of ξ, which draws z to equal weights.
    """

    min_tasks = 2
    within_step = True
    reads_change = True
    logits: Tensor
    moments: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: Mapping[str, float],
        *,
        lr: PositiveFloat = 0.025,
        decay: NonNegativeFloat = 1e-3,
    ) -> None:
        super().__init__(tasks)
        self.lr = lr
        self.decay = decay
        self.factors = dict(tasks)
        self.register_buffer("logits", torch.zeros(len(tasks)))
        self.register_buffer("moments", torch.zeros(2, len(tasks)))
        self.register_buffer("steps", torch.zeros(()))

    @classmethod
    def adds_parts(cls) -> bool:
        """Return False: the weights depend on the losses of the whole step."""
        return False

    def weights(self) -> dict[str, float]:
        """Return the factors of the gradients in the last step."""
        return dict(self.factors)

    def learnt(self) -> dict[str, Tensor]:
        """Return z, the weights of the logarithms of the losses."""
        return {"weights": self.logits.softmax(0)}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the entries: the tasks."""
        return {"weights": (list(self.tasks),)}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each loss times its weight, which has no gradient.

        Raises:
            TrainingError: A loss is negative, so that it has no logarithm.
        """
        check_not_negative("famo", values_of(losses))
        shares = (self.logits[self._rows(losses)] - self._logs(losses)).softmax(0)
        given = shares.new_tensor([self.tasks[task] for task in losses])
        factors = dict(zip(losses, len(losses) * shares * given, strict=True))
        self.factors.update(values_of(factors))
        return {task: factors[task] * loss for task, loss in losses.items()}

    def observe(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Update ξ; see `Weighting.observe`."""
        rows = self._rows(before)
        logits = self.logits.clone().requires_grad_()
        falls = self._logs(before) - self._logs(after)
        with torch.enable_grad():  # the losses of `after` need no gradients
            moved = logits[rows].softmax(0) @ falls
        moved.backward()  # type: ignore[no-untyped-call]
        gradient = logits.grad
        assert gradient is not None
        adam(
            [self.logits],
            [gradient],
            [self.moments[0]],
            [self.moments[1]],
            [],
            [self.steps],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=self.decay,
            eps=1e-8,
            maximize=False,
        )

    def _rows(self, losses: Mapping[str, Tensor]) -> list[int]:
        names = list(self.tasks)
        return [names.index(task) for task in losses]

    def _logs(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the logarithms of losses; a loss below 1e-8 counts as this number."""
        logs = torch.stack([loss.detach() for loss in losses.values()]).clamp(min=1e-8).log()
        return logs.to(self.logits)
