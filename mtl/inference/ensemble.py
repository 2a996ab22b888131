"""The mean of several models, as one predictor.

Every member scores the windows, and the mean of their scores is the input of an ordinary head
without layers of its own. So windows, decoding, confidences and spans are the code of one model.

Letters: M members, B windows, T tokens, H width, K labels, S scores, N rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.data.windows import Window
from mtl.errors import MtlError
from mtl.heads import Classifier, ConstrainedTagger, CRFTagger, Head, SoftmaxTagger, Tagger
from mtl.inference.base import BasePredictor, Encode
from mtl.inference.cutting import Piece
from mtl.inference.predictor import Predictor
from mtl.layers.constraints import Constraints
from mtl.layers.crf import CRF
from mtl.targets import LabelSet, Objective, OneLabel, Target
from mtl.targets.objectives import Answer
from mtl.text.example import Example
from mtl.text.spans import Scheme


class MeanObjective(Objective):
    """The mean of the predictions of M objectives of one kind and with the same labels.

    Probabilities and numbers are averaged. A label of a set is given if its mean probability
    exceeds the mean of the thresholds.

    Args:
        members: The objectives. The scores of a row are the scores of all of them, in this order.
    """

    def __init__(self, members: Sequence[Objective]) -> None:
        super().__init__(members[0].labels, sum(member.size for member in members))
        self.members = nn.ModuleList(members)

    def _parts(self, scores: Tensor) -> Iterator[tuple[Objective, Tensor]]:
        """Yield each member with its scores, `[N, S]`."""
        sizes = [member.size for member in self._members()]
        return zip(self._members(), torch.split(scores, sizes, 1), strict=True)

    def _members(self) -> list[Objective]:
        return [member for member in self.members if isinstance(member, Objective)]

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the mean of the losses of the members, `[N]`."""
        return torch.stack([own.loss(part, target) for own, part in self._parts(scores)]).mean(0)

    def decode(self, scores: Tensor) -> Tensor:
        """Return the prediction of each row, in the form of the members' predictions."""
        first = self._members()[0]
        if isinstance(first, OneLabel):
            return self.log_probs(scores).argmax(1)
        if isinstance(first, LabelSet):
            margins = [
                part.sigmoid() - own.thresholds
                for own, part in self._parts(scores)
                if isinstance(own, LabelSet)
            ]
            return (mean(margins) > 0).to(scores.dtype)
        return mean([own.decode(part) for own, part in self._parts(scores)])

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return the logarithms of the mean probabilities, `[N, K]`."""
        return log_mean([own.log_probs(wide(part)) for own, part in self._parts(scores)])

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return the predictions of `decode` with label names."""
        return self._members()[0].named(decoded)


class ScoreClassifier(Classifier):
    """A classifier whose input, `[B, 1, S]`, is the scores themselves.

    Args:
        objective: Reads the S scores.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective.size, objective, objective.size, 0.0)
        self.output = nn.Identity()  # type: ignore[assignment]

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, S]`."""
        return hidden.squeeze(1)


class JointTask(ABC):
    """How M heads predict one task together.

    Args:
        head: The head that reads their joint scores.
    """

    def __init__(self, head: Head) -> None:
        self.head = head.eval()

    @abstractmethod
    def read(self, head: Head, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of one member for its hidden states."""

    @abstractmethod
    def join(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the input of the head from the scores of all members."""


class JointSentences(JointTask):
    """Classifiers: the mean of the members' predictions.

    The scores of windows are averaged first, per member, as for one model.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__(ScoreClassifier(MeanObjective(objectives)))

    def read(self, head: Head, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, S]`."""
        return head.evidence(hidden, mask)

    def join(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the concatenated scores, `[B, 1, S]`."""
        return torch.cat([*scores], 1).unsqueeze(1)


class _Tokens(JointTask):
    """Taggers. The head has no layers: its hidden states are the joint scores."""

    def __init__(self, head: Tagger) -> None:
        head.output = nn.Identity()  # type: ignore[assignment]
        super().__init__(head)

    def read(self, head: Head, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, T, S]`."""
        assert isinstance(head, Tagger)
        return head.scores(hidden, mask)


class JointValues(_Tokens):
    """Sets, numbers or distributions per token: the mean of the members' predictions."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        objective = MeanObjective(objectives)
        super().__init__(SoftmaxTagger(objective.size, objective, dropout=0.0))

    def join(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the concatenated scores, `[B, T, S]`."""
        return torch.cat([*scores], 2)


class JointPotentials(_Tokens):
    """CRFs: one CRF with the mean of the members' scores of labels and of transitions.

    It is the normalised geometric mean of their distributions over label sequences. A transition
    that one member forbids is forbidden.
    """

    def __init__(self, heads: Sequence[CRFTagger]) -> None:
        labels = heads[0].labels
        joint = CRFTagger(len(labels), labels, dropout=0.0)
        joint.crf = mean_crf([head.crf for head in heads])
        super().__init__(joint)

    def join(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the mean scores, `[B, T, K]`."""
        return mean(scores)


class JointMarginals(_Tokens):
    """Taggers of any kind: the mean of the probabilities of each token's labels.

    The labels are the best sequence that all members allow. With a CRF among other heads, they
    obey the scheme of the labels too.
    """

    def __init__(self, heads: Sequence[Head], scheme: Scheme | None) -> None:
        labels = heads[0].labels
        steps = [own for head in heads if isinstance(head, Tagger) and (own := head.steps())]
        rules = [step for step in steps if any(part.isneginf().any() for part in step)]
        if scheme and any(isinstance(head, CRFTagger) for head in heads):
            allowed = Constraints(labels, scheme=scheme)
            rules.append((allowed.transitions, allowed.start, allowed.end))
        if rules:
            joint = ConstrainedTagger(len(labels), labels, dropout=0.0)
            joint.constraints = Constraints.of_steps(labels, rules)
            super().__init__(joint)
        else:
            super().__init__(SoftmaxTagger(len(labels), labels, dropout=0.0))

    def read(self, head: Head, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probabilities of each token, `[B, T, K]`."""
        if isinstance(head, SoftmaxTagger) and _has_softmax(head):
            # In float64 from the scores on, so that the order of labels stays the same.
            return wide(head.scores(hidden, mask)).log_softmax(2)
        return wide(head.log_probs(hidden, mask))

    def join(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the logarithms of the mean probabilities, `[B, T, K]`."""
        return log_mean(scores)


def _has_softmax(head: SoftmaxTagger) -> bool:
    """Return whether the probabilities of a head are the softmax of its scores."""
    own = type(head)
    return (
        own.log_probs is SoftmaxTagger.log_probs
        and own.log_marginals is SoftmaxTagger.log_marginals
    )


def join_heads(heads: Sequence[Head], target: Target) -> JointTask:
    """Return the joint prediction of a task by several heads.

    Args:
        heads: The head of each member, all with the labels of the target.
        target: The target of the task.

    Raises:
        ValueError: Together they allow no sequence of labels of some length.
        MtlError: A head decodes by more than scores of labels and transitions.
    """
    if target.level == "sentence":
        return JointSentences([_objective(head) for head in heads])
    values = [isinstance(head, Tagger) and head.objective is not None for head in heads]
    if all(values):
        return JointValues([_objective(head) for head in heads])
    for head in heads:
        if isinstance(head, Tagger):
            head.steps()  # refuses heads that do more than a joint head can
    potentials = [head for head in heads if isinstance(head, CRFTagger)]
    if len(potentials) == len(heads):
        return JointPotentials(potentials)
    return JointMarginals(heads, target.scheme)


def _objective(head: Head) -> Objective:
    if isinstance(head, Classifier | Tagger) and head.objective is not None:
        return head.objective
    return OneLabel(head.labels)


def mean_crf(members: Sequence[CRF]) -> CRF:
    """Return a CRF with the mean transition scores of CRFs.

    A transition that one of them forbids is forbidden.

    Raises:
        ValueError: Together they forbid all sequences of some length.
    """
    steps = [member.steps() for member in members]
    count = members[0].num_tags
    rules = Constraints.of_steps([str(label) for label in range(count)], steps)
    joint = CRF(
        count,
        allowed_transitions=rules.transitions.isfinite(),
        allowed_start=rules.start.isfinite(),
        allowed_end=rules.end.isfinite(),
    )
    own = (joint.transitions, joint.start_transitions, joint.end_transitions)
    with torch.no_grad():
        for parameter, parts in zip(own, zip(*steps, strict=True), strict=True):
            parameter.copy_(mean(parts).nan_to_num(neginf=0))
    return joint.to(steps[0][0].device)


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, on devices that have it."""
    return tensor if tensor.device.type == "mps" else tensor.double()


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors. The mean of equal tensors is exactly the same tensor."""
    return wide(torch.stack([*tensors])).mean(0).to(tensors[0].dtype)


def log_mean(log_probs: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of probabilities, from their logarithms."""
    return torch.stack([*log_probs]).logsumexp(0) - math.log(len(log_probs))


class EnsemblePredictor(BasePredictor):
    """Labels sentences with the mean of several models.

    The members read the same windows: of the smallest length and the largest overlap among them.

    Args:
        members: The predictors of the members.
        joints: Task to how the members that have it predict it together.
        users: Task to the positions of these members.
        targets: Task to its target.
        schemes: Task to the output scheme of its span tags; None leaves tags as learned.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        joints: Mapping[str, JointTask],
        users: Mapping[str, Sequence[int]],
        targets: Mapping[str, Target],
        schemes: Mapping[str, Scheme | None],
    ) -> None:
        length = min(member.max_length for member in members)
        super().__init__(
            targets,
            schemes=schemes,
            max_length=length,
            # Each window must contain new tokens.
            overlap=min(max(member.overlap for member in members), length - 1),
        )
        self.members = list(members)
        self._joints = dict(joints)
        self._users = {task: list(own) for task, own in users.items()}
        for joint in joints.values():
            joint.head.to(self.device)

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return self.members[0].device

    def head(self, task: str) -> Head:
        """Return the head that reads the joint scores of a task."""
        return self._joints[task].head

    def joint(self, task: str) -> tuple[JointTask, Sequence[int]]:
        """Return the joint prediction of a task, and the positions of its members."""
        return self._joints[task], self._users[task]

    def positions(self, example: Example, window: Window) -> int:
        """Return the number of positions of a window in a batch: the most that a member reads."""
        return max(member.positions(example, window) for member in self.members)

    def padding(self, task: str) -> Tensor:
        """Return the joint scores of a sentence without tokens."""
        if self.targets[task].level == "token":
            return torch.zeros(1, 1, self.head(task).in_features, device=self.device)
        joint, scores = self._joints[task], []
        for member in self._of(task):
            states = member.padding(task)
            scores.append(joint.read(member.head(task), states, states[..., 0] > 0))
        return joint.join(scores)

    def attention(self, task: str) -> Literal["weights", "matrix"] | None:
        """Raise an error: members attend in different ways.

        Raises:
            MtlError: Always.
        """
        raise MtlError(
            f"task {task!r}: an ensemble has no attention weights; use one of its members"
        )

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the models into evaluation mode, and afterwards back into their former mode."""
        with ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.evaluating())
            yield

    def encoder(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return a function that returns the joint scores of windows of these sentences."""
        encoders: list[tuple[Predictor, list[str], Encode]] = []
        for position, member in enumerate(self.members):
            if own := [task for task in tasks if position in self._users[task]]:
                encoders.append((member, own, member.encoder(examples, own)))

        def encode(
            pieces: Sequence[Piece], together: Sequence[str]
        ) -> tuple[Mapping[str, Tensor], Tensor]:
            scores: dict[str, list[Tensor]] = {task: [] for task in together}
            for member, own, encode_own in encoders:
                if wanted := [task for task in own if task in scores]:
                    hidden, mask = encode_own(pieces, wanted)
                    for task, states in hidden.items():
                        read = self._joints[task].read
                        scores[task].append(read(member.head(task), states, mask))
            return {task: self._joints[task].join(own) for task, own in scores.items()}, mask

        return encode

    def _of(self, task: str) -> list[Predictor]:
        return [self.members[position] for position in self._users[task]]
