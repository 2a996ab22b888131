"""`mtl train --processes`: start several processes with torchrun, on this machine."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence

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

    from mtl.training.processes import cores, is_started

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
        for rank, failure in sorted(error.failures.items()):
            if failure.exitcode < 0:
                name = signal.Signals(-failure.exitcode).name
                raise MtlError(
                    f"process {rank} of {processes} was killed ({name}), and the others have "
                    "ended; the same command with --resume continues after the last checkpoint"
                ) from None
        raise SystemExit(error.get_first_failure()[1].exitcode) from None
    finally:
        logging.disable(logging.NOTSET)
        for name in own.keys() - before.keys():
            del os.environ[name]
