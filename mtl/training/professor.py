"""Professor forcing: a language model reads words that it draws. Letters: B chunks, T words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.heads import LanguageModel
from mtl.layers.state_discriminator import StateDiscriminator
from mtl.model import MultiTaskModel
from mtl.text.example import Example
from mtl.text.running import END
from mtl.text.vocabulary import PAD


class ProfessorForcing(nn.Module):
    """The loss of the hidden states of drawn words, one discriminator per task.

    The words of a chunk are drawn one by one, without gradients and without dropout. The model then
    reads all of them in one pass, with gradients. Hidden states do not depend on later words, so
    without dropout this pass gives the states from which the words were drawn.

    Args:
        discriminators: Task to its discriminator; each task predicts the next word of running text.
    """

    def __init__(self, discriminators: Mapping[str, StateDiscriminator]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleDict(discriminators)

    def forward(
        self,
        model: MultiTaskModel,
        batcher: Batcher,
        batch: Batch,
        hidden: Mapping[str, Tensor],
        state: Any,
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            model: The model, in training mode.
            batcher: Maps words to ids.
            batch: One chunk per stream, on the device of the model.
            hidden: Task to the input of its head, `[B, T, H]`, for the words of the batch.
            state: The state of the trunks before the batch.
        """
        loss = torch.zeros((), device=batch.mask.device)
        rows = batch.mask.any(1)  # the last stream may have ended
        for task in [task for task in self.discriminators if task in batch.targets]:
            drawn = draw_chunks(model, batcher, task, batch, state)
            states = model.encode(drawn, [task], state).hidden[task].to(hidden[task].dtype)
            discriminator = self.discriminators[task]
            assert isinstance(discriminator, StateDiscriminator)
            with torch.autocast(batch.mask.device.type, enabled=False):
                own = discriminator.loss(hidden[task][rows], states[rows], batch.mask[rows])
            loss = loss + own
        return loss


@torch.no_grad()
def draw_chunks(
    model: MultiTaskModel, batcher: Batcher, task: str, batch: Batch, state: Any
) -> Batch:
    """Return chunks that begin with the words of a batch and continue with drawn words.

    Args:
        model: The model.
        batcher: Maps words to ids.
        task: A task that predicts the next word.
        batch: One chunk per stream.
        state: The state of the trunks before the batch.
    """
    head, device = model.head(task), batch.mask.device
    assert isinstance(head, LanguageModel)
    dtype = next(head.parameters()).dtype  # of heads, also where trunks have less precision
    rows = [[*(example.tokens[:1] or (END,))] for example in batch.examples]
    past: Tensor | None = None
    with model.evaluating():
        for _ in range(batch.mask.shape[1] - 1):
            words = batcher.batch([Example((row[-1],), {}) for row in rows]).to(device)
            inputs = model.encode(words, [task], state)
            states, state = inputs.hidden[task].to(dtype), inputs.state
            read = states if past is None else torch.cat([past, states], dim=1)
            past = read[:, -head.reach - 1 :]  # the last state, and those that it attends to
            with torch.autocast(device.type, enabled=False):
                mask = past.new_ones(past.shape[:2]).bool()
                chances = head.log_probs(past, mask)[:, -1].exp()
            chances[:, PAD] = 0
            drawn = torch.multinomial(chances, 1).flatten().tolist()
            for row, number in zip(rows, drawn, strict=True):
                row.append(head.labels[number])
    lengths = [max(1, len(example.tokens)) for example in batch.examples]
    chunks = [Example(tuple(row[:n]), {}) for row, n in zip(rows, lengths, strict=True)]
    return batcher.batch(chunks).to(device)
