"""Training state for resuming a run exactly, as tensors and JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from torch import Tensor

from mtl.data.streams import Streams
from mtl.errors import CheckpointError
from mtl.runs.checkpoint import constants_of, set_weights, weights_of
from mtl.training.sums import EpochSums
from mtl.training.trainer import Trainer
from mtl.trunks.base import mapped


def training_state(
    trainer: Trainer, *, whole: bool = False
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of a trainer: tensors by name, and all other values as JSON types.

    All processes of a run call it at the same step. The state fits any number of processes. Within
    an epoch, the place in the data is the number of draws of the sampler that are done, from which
    the batches and the streams follow.

    Args:
        trainer: The trainer, between two steps or epochs.
        whole: Whether the constants of the model are included. Otherwise the file of the model has
            them, and large ones are not written with each checkpoint.
    """
    constants = set() if whole else constants_of(trainer.model)
    weights = weights_of(trainer.model).items()
    tensors = {f"model.{name}": value for name, value in weights if name not in constants}
    tensors |= {f"weighting.{n}": v for n, v in trainer.weighting.state_dict().items()}
    for name, module in trainer.companions.items():
        tensors |= {f"{name}.{n}": v for n, v in module.state_dict().items()}
    if trainer.place:
        sharing = trainer.model.sharing.epoch_state()
        tensors |= {f"sharing.{name}": value for name, value in sharing.items()}
    numbers: dict[str, Any] = {}
    for index, values in trainer.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            target = tensors if isinstance(value, Tensor) else numbers
            target[f"optimizer.{index}.{name}"] = value
    if trainer.average:
        tensors |= {f"average.{name}": value for name, value in trainer.average.average.items()}
        numbers["average.updates"] = trainer.average.updates
    tensors |= {f"best.{name}": value for name, value in trainer.best.items()}
    tensors |= {f"best_weighting.{name}": value for name, value in trainer.best_weighting.items()}
    carried, random = _of_all_processes(trainer)
    for corpus, leaves in carried.items():
        tensors |= {f"carried.{corpus}.{i}": leaf for i, leaf in enumerate(leaves)}
    tensors |= {f"random.{name}": state for name, state in random.items()}
    if scale := trainer.update.loss_scale:
        numbers["loss_scale.scale"] = scale.scale
        numbers["loss_scale.good"] = scale.good
    values = {
        "epoch": trainer.epoch,
        "step": trainer.step,
        "place": trainer.place,
        "sums": trainer.sums.to_json(),
        "watch": {"first": trainer.watch.first, "warned": trainer.watch.warned},
        "selection": trainer.selection.to_json(),
        "numbers": numbers,
    }
    return tensors, values


def restore_training_state(
    trainer: Trainer, tensors: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Restore the state from the results of `training_state`.

    Args:
        trainer: A trainer made from the same run file and data. Its model has the constants of
            the file of the model already, if there is one.
        tensors: The tensors by name.
        values: All other values, as JSON types.

    Raises:
        CheckpointError: The state is incomplete, or belongs to another model.
    """
    try:
        _restore(trainer, tensors, values)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            "the training state does not fit this model; if the data or the code has changed, "
            "train again in another folder"
        ) from error


_Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _SelectionValues(_Strict):
    scores: list[float]
    task_scores: dict[str, list[float]]


class _SumsValues(_Strict):
    losses: dict[str, float] = {}
    steps: dict[str, _Count] = {}
    tokens: dict[str, _Count] = {}
    seconds: dict[str, float] = {}
    total_seconds: float = 0.0


class _WatchValues(_Strict):
    first: dict[str, float] = {}
    warned: bool = False


class _StateValues(_Strict):
    """The types of the values in a state. Earlier versions wrote no values with a default."""

    epoch: _Count
    step: _Count
    place: _Count = 0
    sums: _SumsValues = _SumsValues()
    watch: _WatchValues = _WatchValues()
    selection: _SelectionValues
    numbers: dict[str, int | FiniteFloat | bool | None]


def _restore(trainer: Trainer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    checked = _StateValues.model_validate(values)
    weights, constants = weights_of(trainer.model), constants_of(trainer.model)
    kept = {name: value for name, value in weights.items() if name in constants}
    set_weights(trainer.model, kept | _part(tensors, "model"))
    trainer.weighting.load_state_dict(_part(tensors, "weighting"))
    for name, module in trainer.companions.items():
        module.load_state_dict(_part(tensors, name))
    state: dict[int, dict[str, Any]] = {}
    numbers = values["numbers"]
    for key, value in {**_part(tensors, "optimizer"), **_part(numbers, "optimizer")}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    # Groups are not saved: options such as the learning rate follow from the run file and the step.
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})
    if trainer.average:
        trainer.average.restore(_part(tensors, "average"), numbers["average.updates"])
    if scale := trainer.update.loss_scale:
        scale.scale = numbers["loss_scale.scale"]
        scale.good = numbers["loss_scale.good"]
    trainer.best = {name: v.to(trainer.device) for name, v in _part(tensors, "best").items()}
    if trainer.learning_rate.restarts:
        # Checkpoints of earlier versions lack it; their weighting keeps its state at a restart.
        best = _part(tensors, "best_weighting") or trainer.weighting.state_dict()
        trainer.best_weighting = {n: v.to(trainer.device, copy=True) for n, v in best.items()}
    for corpus, loader in trainer.loaders.items():
        leaves = _part(tensors, f"carried.{corpus}")
        if isinstance(loader, Streams) and leaves:
            # Copied, as tensors mapped from a file are not aligned in memory, and matrix products
            # on unaligned memory differ in the last bit.
            own = [
                leaves[str(i)].narrow(dim, loader.own.start, len(loader.own))
                for i, dim in enumerate(_stream_dims(trainer))
            ]
            copies = [leaf.to(trainer.device, copy=True) for leaf in own]
            trainer.carried[corpus] = _filled(
                trainer.model.sharing.initial_state(len(loader.own)), iter(copies)
            )
    # A process that did not exist when the state was saved gets new random numbers.
    trainer.processes.separate_random(trainer.sampler.seed, values["step"])
    random, rank = _part(tensors, "random"), trainer.processes.rank
    if (state_cpu := random.get(_random_name("cpu", rank))) is not None:
        torch.set_rng_state(state_cpu.cpu())
    state_cuda = random.get(_random_name("cuda", rank))
    if trainer.device.type == "cuda" and state_cuda is not None:
        torch.cuda.set_rng_state(state_cuda.cpu(), trainer.device)
    if checked.place:
        trainer.model.sharing.restore_epoch(_part(tensors, "sharing"))
    trainer.epoch, trainer.step, trainer.place = checked.epoch, checked.step, checked.place
    trainer.sums = EpochSums(checked.sums.model_dump())
    trainer.watch.first, trainer.watch.warned = dict(checked.watch.first), checked.watch.warned
    trainer.selection.restore(values["selection"])


def _of_all_processes(trainer: Trainer) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """Return the carried states of all streams by corpus, and the random states by name."""
    carried = {corpus: _leaves(state) for corpus, state in trainer.carried.items()}
    random = {"cpu": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(trainer.device)
    processes = trainer.processes
    if not processes.several:
        return carried, random
    on_cpu = {corpus: [leaf.cpu() for leaf in leaves] for corpus, leaves in carried.items()}
    every = processes.gather((on_cpu, random))
    dims = _stream_dims(trainer)
    corpora = dict.fromkeys(corpus for own, _ in every for corpus in own)
    # The processes have consecutive streams.
    joined = {
        corpus: [
            torch.cat(parts, dim)
            for dim, *parts in zip(dims, *(o[corpus] for o, _ in every if corpus in o), strict=True)
        ]
        for corpus in corpora
    }
    states = {
        _random_name(kind, rank): state
        for rank, (_, own) in enumerate(every)
        for kind, state in own.items()
    }
    return joined, states


def _random_name(kind: str, rank: int) -> str:
    """Return the name of the random state of a process; the first one has no number."""
    return f"{kind}.{rank}" if rank else kind


def _stream_dims(trainer: Trainer) -> list[int]:
    """Return the dimension of the streams in each tensor of a carried state."""
    sharing = trainer.model.sharing
    pairs = zip(_leaves(sharing.initial_state(1)), _leaves(sharing.initial_state(2)), strict=True)
    return [[a == b for a, b in zip(x.shape, y.shape, strict=True)].index(False) for x, y in pairs]


def _leaves(state: Any) -> list[Tensor]:
    """Return the tensors of a trunk's state in the order of `mapped`."""
    leaves: list[Tensor] = []

    def keep(leaf: Tensor) -> Tensor:
        leaves.append(leaf)
        return leaf

    mapped(state, keep)
    return leaves


def _filled(state: Any, tensors: Iterator[Tensor]) -> Any:
    """Return a trunk's state with its tensors replaced, in the order of `mapped`."""
    return mapped(state, lambda _: next(tensors))


def _part(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries under a prefix, without it."""
    start = len(prefix) + 1
    return {key[start:]: value for key, value in values.items() if key.startswith(f"{prefix}.")}
