"""The whole model: embedding, sharing, heads. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.embeddings import CorpusVectors, EmbeddingOutput, InputEmbedding
from mtl.heads.base import Head
from mtl.heads.lm import LanguageModel
from mtl.layers.elastic import Anchor
from mtl.layers.scalar_mix import ScalarMix, TokenScalarMix
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.targets import labelled
from mtl.targets.teacher import TeacherOutput

Layer = int | Literal["mix", "mix_all"]
"""The layer that a head reads: 0 the embedding, 1 the first layer, -1 the last, "mix" a learned
mix of all layers above the embedding, "mix_all" one with the embedding."""


@dataclass(frozen=True)
class ModelOutput:
    """The result of one forward pass.

    Args:
        losses: Task to the negative log-likelihood of each sentence in nats, `[B]`; zero for
            sentences without labels for the task.
        penalties: Further terms of the loss by name, each a scalar.
        state: The state of the trunks, which the next chunk of a stream starts from.
        imitation: Task to the loss of each sentence that imitates its teachers, `[B]`; zero for
            sentences without an output of a teacher.
        last: The last layer of the trunk, `[B, T, H]`, for batches with states to imitate.
        hidden: Task to the input of its head, `[B, T, H]`.
    """

    losses: Mapping[str, Tensor]
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    state: Any = None
    imitation: Mapping[str, Tensor] = field(default_factory=dict)
    last: Tensor | None = None
    hidden: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadInputs:
    """The hidden states of a batch, as the heads read them.

    Args:
        hidden: Task to the input of its head, `[B, T, H]`.
        penalties: Further terms of the loss by name, each a scalar.
        state: The state of the trunks, which the next chunk of a stream starts from.
        last: The last layer of the trunk of the first task, `[B, T, H]`, if it was wanted.
    """

    hidden: Mapping[str, Tensor]
    penalties: Mapping[str, Tensor]
    state: Any
    last: Tensor | None = None


class MultiTaskModel(nn.Module):
    """One embedding, shared trunks, and one head per task.

    Args:
        embedding: Maps features and mask to the input of the trunks.
        sharing: Encodes token vectors for the tasks.
        heads: Head name to head; a head may serve several tasks.
        head_of: Task to the name of its head.
        layers: Task to the layer that its head reads.
        columns: Task to the slice of the layer that its head reads, where the head reads only one
            of two independent directions.
        corpora: The vectors of corpora, if there are any.
    """

    def __init__(
        self,
        embedding: InputEmbedding,
        sharing: Sharing,
        heads: Mapping[str, Head],
        *,
        head_of: Mapping[str, str],
        layers: Mapping[str, Layer],
        columns: Mapping[str, slice] | None = None,
        corpora: CorpusVectors | None = None,
    ) -> None:
        super().__init__()
        self.corpora = corpora
        self.trainings = 0
        """The number of times that training began. Fused optimisers change weights in place
        without a trace, so values that were computed from weights count as old afterwards."""
        self.anchor: Anchor | None = None
        """The penalty that holds weights near their old values, in training only. It is not part
        of the saved model."""
        self.embedding = embedding
        self.sharing = sharing
        self.heads = nn.ModuleDict(heads)
        self.head_of = dict(head_of)
        self.layers = dict(layers)
        self.columns = dict(columns or {})
        self.mixes = nn.ModuleDict()
        for task, layer in layers.items():
            sizes = sharing.sizes_of(task)
            if layer == "mix":
                self.mixes[task] = ScalarMix(len(sizes) - 1)
            elif layer == "mix_all":
                self.mixes[task] = TokenScalarMix(sizes)
        self.label_vectors = nn.ModuleDict(
            {
                task: nn.Linear(len(self.head(task).labels), dim, bias=False)
                for task, dim in sharing.label_dims.items()
                if self.head(task).level == "token"
                and self.head(task).labels
                and not isinstance(self.head(task), LanguageModel)
            }
        )

        sharing.attach(
            list(embedding.parameters()),
            {
                task: [
                    *self.head(task).parameters(),
                    *(self.label_vectors[task].parameters() if task in self.label_vectors else ()),
                ]
                for task in self.head_of
            },
        )

    def train(self, mode: bool = True) -> Self:
        """Set the mode of training or evaluation, and count how often training began."""
        self.trainings += mode
        return super().train(mode)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Use the mode of evaluation within the context, and the mode before it afterwards."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def head(self, task: str) -> Head:
        """Return the head of a task."""
        head = self.heads[self.head_of[task]]
        assert isinstance(head, Head)
        return head

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that several tasks train: embedding, sharing and shared heads."""
        if len(self.head_of) < 2:
            return []
        users = Counter(self.head_of.values())
        heads = (own for name, own in self.heads.items() if users[name] > 1)
        found = [*self.embedding.parameters(), *self.sharing.shared_parameters()]
        if self.corpora and self.corpora.shared:
            found += self.corpora.parameters()
        found += (parameter for head in heads for parameter in head.parameters())
        return list(dict.fromkeys(found))  # an output layer may use the word vectors

    def encode(self, batch: Batch, tasks: Iterable[str], state: Any = None) -> HeadInputs:
        """Return the inputs of the heads of some tasks."""
        return self.encode_vectors(self.embed(batch.features, batch.mask), tasks, state)

    def embed(self, features: Mapping[str, Tensor], mask: Tensor) -> EmbeddingOutput:
        """Return the output of the embedding; see `InputEmbedding.forward`."""
        embedded: EmbeddingOutput = self.embedding(features, mask)
        return embedded._replace(features=features)

    def encode_vectors(
        self,
        embedded: EmbeddingOutput,
        tasks: Iterable[str],
        state: Any = None,
        *,
        last: bool = False,
    ) -> HeadInputs:
        """Return the inputs of the heads of some tasks, from the output of the embedding.

        The trunks run once, or once per corpus of the tasks if corpora have vectors.

        Args:
            embedded: The output of the embedding.
            tasks: The tasks; with a state, tasks of one corpus.
            state: The state of the trunks after the preceding chunk of text; None for none.
            last: Whether to return the last layer too.
        """
        # Only a few sharings read predicted labels; the others do not take this argument.
        label_vectors = [self._expected_label] if self.sharing.label_dims else []
        wanted = list(tasks)
        found: dict[str, TrunkOutput] = {}
        for vectors, together in self._inputs(embedded, wanted):
            found |= self.sharing(vectors, embedded.mask, together, state, *label_vectors)
        outputs = {task: found[task] for task in wanted}
        penalties: dict[str, Tensor] = {}
        for output in outputs.values():
            penalties |= output.penalties
        first = next(iter(outputs.values()))
        return HeadInputs(
            {
                task: self.head(task).inputs(
                    embedded.to_words(self._read(task, output.layers)), embedded
                )
                for task, output in outputs.items()
            },
            penalties,
            first.state,
            embedded.to_words(first.layers[-1]) if last else None,
        )

    def _inputs(
        self, embedded: EmbeddingOutput, tasks: list[str]
    ) -> Iterator[tuple[Tensor, list[str]]]:
        """Yield the token vectors that tasks read, with the vector of a corpus, and these tasks."""
        if self.corpora is None:
            yield embedded.vectors, tasks
        else:
            for corpus, together in self.corpora.groups(tasks).items():
                yield self.corpora(embedded.vectors, embedded.mask, corpus), together

    def _read(self, task: str, layers: Sequence[Tensor]) -> Tensor:
        layer = self.layers[task]
        if isinstance(layer, int):
            hidden = layers[layer]
        else:
            hidden = self.mixes[task](layers if layer == "mix_all" else layers[1:])
        return hidden[..., self.columns[task]] if task in self.columns else hidden

    def _expected_label(self, task: str, layers: Sequence[Tensor], mask: Tensor) -> Tensor | None:
        """Return Σ_k p(k) e_k of each token, `[B, T, E]`; see `LabelVectors`."""
        if task not in self.label_vectors:
            return None
        log_probs = self.head(task).log_probs(self._read(task, layers), mask)
        probabilities = log_probs.exp() * mask.unsqueeze(-1)
        vectors: Tensor = self.label_vectors[task](probabilities)
        return vectors

    def forward(self, batch: Batch, state: Any = None) -> ModelOutput:
        """Return the losses of the tasks in `batch.targets` and in `batch.teacher`."""
        embedded = self.embed(batch.features, batch.mask)
        imitates = batch.states is not None
        inputs = self.encode_vectors(embedded, batch.tasks, state, last=imitates)
        device = batch.mask.device.type
        hidden = inputs.hidden
        if torch.is_autocast_enabled(device):
            # Log-probabilities and sums over sentences need the precision of float32.
            hidden = {task: states.float() for task, states in hidden.items()}
        with torch.autocast(device, enabled=False):
            losses: dict[str, Tensor] = {}
            for together in self._together(batch):
                losses |= self._losses(together, hidden, batch.mask, batch.targets)
            imitation = {
                task: self._imitation(task, hidden[task], batch.mask, output)
                for task, output in batch.teacher.items()
            }
        penalties = inputs.penalties
        if self.anchor and self.training:
            penalties = {**penalties, "ewc": self.anchor.penalty()}
        return ModelOutput(losses, penalties, inputs.state, imitation, inputs.last, hidden)

    def _together(self, batch: Batch) -> list[list[str]]:
        """Return groups of tasks whose sentences a head reads together.

        In a batch of several corpora, these are all tasks of a head, since its loss may compare the
        sentences of the batch. Otherwise, each task is alone.
        """
        if not batch.mixed:
            return [[task] for task in batch.targets]
        groups: dict[str, list[str]] = {}
        for task in batch.targets:
            groups.setdefault(self.head_of[task], []).append(task)
        return list(groups.values())

    def _losses(
        self,
        tasks: Sequence[str],
        hidden: Mapping[str, Tensor],
        mask: Tensor,
        targets: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return the loss of each sentence, `[B]`, of tasks with the same head."""
        head, found = self.head(tasks[0]), {task: labelled(targets[task]) for task in tasks}
        rows = {task: own if own.ndim == 1 else own.any(1) for task, own in found.items()}
        if len(tasks) == 1:
            (task,) = tasks
            target = targets[task]
            loss = _where_known(
                rows[task],
                hidden[task],
                mask,
                lambda hidden, mask, rows: head.loss(hidden, mask, target[rows]),
            )
            return {task: loss}
        states = torch.cat([hidden[task][own] for task, own in rows.items()])
        masks = torch.cat([mask[own] for own in rows.values()])
        values = head.loss(
            states, masks, torch.cat([targets[task][own] for task, own in rows.items()])
        )
        counts = [int(own.sum()) for own in rows.values()]
        return {
            task: states.new_zeros(len(own)).masked_scatter(own, part)
            for (task, own), part in zip(rows.items(), torch.split(values, counts), strict=True)
        }

    def _imitation(self, task: str, hidden: Tensor, mask: Tensor, output: TeacherOutput) -> Tensor:
        head = self.head(task)
        return _where_known(
            output.known,
            hidden,
            mask,
            lambda hidden, mask, rows: output.rows(rows).loss(head, hidden, mask),
        )


def _where_known(
    known: Tensor,
    hidden: Tensor,
    mask: Tensor,
    loss: Callable[[Tensor, Tensor, Tensor | slice], Tensor],
) -> Tensor:
    """Return a loss of each sentence, `[B]`, zero where there is nothing to learn from.

    Args:
        known: Whether there is something, `[B]` bool.
        hidden: `[B, T, H]`, or `[2 B, T, H]` for pairs.
        mask: `[B, T]` or `[2 B, T]` bool.
        loss: Returns the losses of some sentences, given their hidden states, their mask and which
            ones they are.
    """
    if known.all():
        return loss(hidden, mask, slice(None))
    losses = hidden.new_zeros(len(known))
    if known.any():
        # A pair has two rows of hidden states but one target.
        rows = known.repeat(len(mask) // len(known))
        losses[known] = loss(hidden[rows], mask[rows], known)
    return losses
