"""`mtl train --processes`: start several processes with torchrun, on this machine."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping, Sequence

from mtl.cli.worker import LAUNCHED
from mtl.errors import MtlError


def launch(processes: int, arguments: Sequence[str]) -> None:
    """Run `mtl` in several processes, and return when all of them have ended well.

    Args:
        processes: The number of processes.
        arguments: The arguments of the command.

    Raises:
        MtlError: A process was killed.
        SystemExit: A process has ended with an error, which it has printed.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from mtl.data.workers import cores
    from mtl.training.processes import is_started

    if is_started():
        raise MtlError("--processes: torchrun has started several processes; leave it out")
    # Without a number of threads, torchrun prints a warning.
    own = {LAUNCHED: "1", "OMP_NUM_THREADS": str(max(1, cores() // processes))}
    before = dict(os.environ)
    os.environ.update({**own, **before})
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Its reports of failures repeat the errors of the processes, at length.
    logging.disable(logging.CRITICAL)
    options = ["--standalone", f"--nproc-per-node={processes}", "--module", "mtl"]
    try:
        run.run(run.parse_args([*options, *arguments]))
    except SignalException as error:
        # All processes have got the signal, and have ended. It also ends this one, as usual.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.raise_signal(error.sigval)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in sorted(error.failures.items())}
        _report(codes, processes)
    finally:
        logging.disable(logging.NOTSET)
        for name in own.keys() - before.keys():
            del os.environ[name]


def _report(codes: Mapping[int, int], processes: int) -> None:
    """Raise the error that some exit codes mean.

    Args:
        codes: Process to its exit code; below zero for a signal.
        processes: The number of all processes.

    Raises:
        MtlError: A process was killed.
        SystemExit: A process has ended with an error, which it has printed.
    """
    # The number of the signal that a process has not handled, or has handled by its exit code.
    signals = {rank: -code if code < 0 else code - 128 for rank, code in codes.items()}
    own = {rank: number for rank, number in signals.items() if number > 0}
    # When one process has ended, torchrun ends the others by SIGTERM.
    first = {rank: number for rank, number in own.items() if number != signal.SIGTERM}
    printed = [code for rank, code in codes.items() if rank not in own]
    if printed and not first:
        raise SystemExit(printed[0]) from None
    rank, number = next(iter((first or own).items()))
    raise MtlError(
        f"process {rank} of {processes} was killed ({signal.Signals(number).name}), and the others "
        "have ended; the same command with --resume continues after the last checkpoint"
    ) from None
