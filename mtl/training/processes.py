"""The processes that train one run together, by `torch.distributed`.

Every process has the whole model and computes a part of the sentences of each step. The sums over
all processes are the gradients, losses and counts of one process with the whole batch, so all
processes make the same update. The first process writes all files and messages.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from mtl.data.workers import cores
from mtl.errors import MtlError

if TYPE_CHECKING:
    from torch.distributed import Store

ValueT = TypeVar("ValueT")

START = timedelta(minutes=30)
"""The longest time until all processes have found each other."""
TIMEOUT = timedelta(days=1)
"""The longest time that a process waits for another one, for example while the data is read.

It is long, as connections to a process that has ended break at once."""
ADDRESS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torchrun sets for each process."""
_FAILED = "failed"
"""Key of the shared store that is set when a process has ended with an error."""


class LostProcess(MtlError):
    """Another process of the run has ended, so that training cannot continue."""


class Processes:
    """One of the processes of a run. A run in one process has a world of 1.

    All processes call the same methods in the same order. With a world of 1 the methods return at
    once.

    Args:
        rank: The number of this process, from 0.
        world: The number of processes.
        local_rank: The number of this process on its machine.
        local_world: The number of processes on its machine.
        store: The key-value store of the processes; None for one process.
    """

    def __init__(
        self,
        rank: int = 0,
        world: int = 1,
        local_rank: int = 0,
        local_world: int = 1,
        store: Store | None = None,
    ) -> None:
        self.rank = rank
        self.world = world
        self.local_rank = local_rank
        self.local_world = local_world
        self.requests: Callable[[], Sequence[bool]] = tuple
        """Returns the requests of this process, in a fixed order: to stop, and to save."""
        self._requested: list[bool] = []
        self._store = store

    @property
    def several(self) -> bool:
        """Whether there is another process."""
        return self.world > 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """The part of the data of this process: its number, and the number of parts."""
        return self.rank, self.world

    def threads(self) -> int:
        """Return the number of CPU threads of this process: its share of the cores."""
        return max(1, cores() // self.local_world)

    def requested(self) -> list[bool]:
        """Return, for each of `requests`, whether at least one process had it before the step.

        The result is equal in all processes. A single process gets its current requests.
        """
        return self._requested if self.several else list(self.requests())

    def exchange(self, values: Sequence[float]) -> Tensor:
        """Return the values of all processes, `[world, len(values)]` float64.

        Their requests are exchanged too; see `requested`.

        Args:
            values: Numbers of this process; equally many in all processes.
        """
        requests = list(self.requests())
        own = torch.tensor([*requests, *values], dtype=torch.float64)
        found = self._rows(own) if self.several else own[None]
        self._requested = (found[:, : len(requests)] > 0).any(0).tolist()
        return found[:, len(requests) :]

    def add_up(self, parameters: Iterable[nn.Parameter], others: Sequence[Tensor]) -> None:
        """Replace gradients and other tensors by their sums over all processes, in one message.

        A parameter without a gradient in all processes has none afterwards.

        Args:
            parameters: The parameters; those that are not trained are left out.
            others: Further tensors, which are changed in place.
        """
        if not self.several:
            return
        trained = [p for p in parameters if p.requires_grad]
        given = [p.grad is not None for p in trained]
        device = trained[0].device if trained else others[0].device
        flags = torch.tensor(given, dtype=torch.float32, device=device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        tensors = [*gradients, flags, *others]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        self._sum(flat)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        # Most steps use all parameters in all processes; one transfer from the device is enough.
        found = sums[len(trained)].tolist()
        for parameter, total, count in zip(trained, sums, found, strict=False):
            parameter.grad = total.view_as(parameter).to(parameter.dtype) if count else None
        for tensor, total in zip(others, sums[len(trained) + 1 :], strict=True):
            tensor.copy_(total.view_as(tensor))

    def gather(self, value: ValueT) -> list[ValueT]:
        """Return the values of all processes in their order; any Python objects."""
        return self._objects(value) if self.several else [value]

    def from_main(self, make: Callable[[], ValueT]) -> ValueT:
        """Call a function in the first process only, and return its result in all of them."""
        value = make() if self.main else None
        return self._object_of_main(value) if self.several else value  # type: ignore[return-value]

    def copy_from_main(self, module: nn.Module) -> None:
        """Give a module the weights and buffers that it has in the first process."""
        if self.several:
            module.load_state_dict(self._object_of_main(module.state_dict()))

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """Context that one process per machine leaves before the others enter it.

        It makes stored files, such as a cache, which the others then read.
        """
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.several:
            self._sum(torch.zeros(1))  # not `barrier`, which would use a GPU if there is one

    def separate_random(self, *key: int) -> None:
        """Give each process random numbers of its own, as for dropout; the first keeps its own.

        Args:
            key: Numbers that determine them, such as the seed of the run.
        """
        if self.rank:
            digest = hashlib.sha256(repr((*key, self.rank)).encode()).digest()
            torch.manual_seed(int.from_bytes(digest[:7], "big"))

    def claim(self, message: str) -> bool:
        """Return whether this process is to print an error, which others may have too.

        Args:
            message: The error. The first process that has it prints it.
        """
        if self._store is None:
            return self.main
        try:
            self._store.set(_FAILED, "1")
            key = f"error {hashlib.sha256(message.encode()).hexdigest()}"
            return bool(self._store.add(key, 1) == 1)
        except RuntimeError:  # the store has ended with the process that holds it
            return True

    @property
    def failed(self) -> bool:
        """Whether a process has ended with an error."""
        try:
            return self._store is not None and bool(self._store.check([_FAILED]))
        except RuntimeError:
            return True

    def _sum(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        with self._lost():
            distributed.all_reduce(tensor)

    def _rows(self, own: Tensor) -> Tensor:
        """Return the vectors of all processes, one per row."""
        found = own.new_empty(self.world, len(own))
        with self._lost():
            distributed.all_gather(list(found), own)
        return found

    def _objects(self, value: ValueT) -> list[ValueT]:
        """Return the objects of all processes."""
        found: list[Any] = [None] * self.world
        with self._lost():
            distributed.all_gather_object(found, value)
        return found

    def _object_of_main(self, value: ValueT | None) -> ValueT:
        """Return the object of the first process."""
        box = [value]
        with self._lost():
            distributed.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            # A broken connection has a long description, which does not name the process.
            detail = "" if "onnection" in reason else f" ({reason})"
            raise LostProcess(
                f"process {self.rank} of {self.world} has lost another one, so training ends"
                f"{detail}; the same command with --resume continues after the last checkpoint"
            ) from error


ALONE = Processes()
"""One process without requests."""
_joined: list[Processes] = []


def is_started(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process is one of several, which torchrun has started."""
    return all(environment.get(name) for name in ADDRESS) and environment["WORLD_SIZE"] != "1"


def is_restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether torchrun has started this process again, after a failure."""
    return environment.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def current() -> Processes:
    """Return the processes of this run as far as they are known, without waiting for them."""
    return _joined[0] if _joined else Processes()


def join() -> Processes:
    """Return the processes of this run, after they have found each other.

    Raises:
        MtlError: They do not find each other.
    """
    if not _joined and is_started():
        _joined.append(_join(os.environ))
    return current()


def leave() -> None:
    """End the connection to the other processes."""
    if _joined:
        _joined.clear()
        distributed.destroy_process_group()


def _join(environment: Mapping[str, str]) -> Processes:
    # Here, as they are missing in a PyTorch that was built without them.
    from torch.distributed import PrefixStore, rendezvous

    rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    local = int(environment.get("LOCAL_RANK", rank))
    local_world = int(environment.get("LOCAL_WORLD_SIZE", world))
    gpus = torch.cuda.device_count()
    if gpus and local < gpus:
        torch.cuda.set_device(local)
    try:
        store, *_ = next(rendezvous("env://", timeout=START))
        store = PrefixStore(_token(store, rank, world), store)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=PrefixStore("group", store),
            rank=rank,
            world_size=world,
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        place = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        reason = str(error).strip().splitlines()[0]
        message = f"process {rank} of {world} cannot join the others at {place}: {reason}"
        raise MtlError(message) from error
    return Processes(rank, world, local, local_world, PrefixStore("mtl", store))


def _token(store: Store, rank: int, world: int) -> str:
    """Return a name that only the processes of this start know.

    After a restart, the store of torchrun still has the addresses of the processes that have
    ended, and on several machines no variable counts the restarts alike. The first process answers
    each request with a new name, also old requests, whose answers nobody reads.
    """
    own = secrets.token_hex(8)
    if rank:
        store.set(f"mtl/request/{store.add('mtl/requests', 1)}", own)
        token = store.get(f"mtl/answer/{own}").decode()
        store.add(f"{token}/joined", 1)
        return token
    answered = 0
    until = time.monotonic() + START.total_seconds()
    while store.add(f"{own}/joined", 0) < world - 1:
        if time.monotonic() > until:
            raise RuntimeError("some processes are missing")
        while answered < store.add("mtl/requests", 0):
            answered += 1
            request = f"mtl/request/{answered}"
            # A process that was killed between two calls has a number without a request.
            with suppress(RuntimeError):
                store.wait([request], timedelta(seconds=10))
                store.set(f"mtl/answer/{store.get(request).decode()}", own)
        time.sleep(0.01)
    return own


def check_device(processes: Processes, device: torch.device) -> None:
    """Check that each process of this machine has a device of its own.

    Raises:
        MtlError: There are fewer GPUs than processes, or the run names a single GPU.
    """
    if not processes.several or device.type == "cpu":
        return
    if device.type != "cuda":
        raise MtlError(
            f"training.device: several processes train on cpu or cuda, got {device}; set cpu, or "
            "train in one process"
        )
    if str(device) != "cuda":
        raise MtlError(
            f"training.device: each process takes the GPU of its number, got {device}; set cuda"
        )
    if processes.local_world > (gpus := torch.cuda.device_count()):
        raise MtlError(
            f"training.device: {processes.local_world} processes on this machine, which has "
            f"{gpus} GPUs; start one process per GPU, or set cpu"
        )
