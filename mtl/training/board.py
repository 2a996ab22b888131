"""Events for TensorBoard."""

from __future__ import annotations

import os
import socket
import time
from itertools import count
from pathlib import Path
from typing import Any

from torch import Tensor

EVENTS = "events.out.tfevents.*"
"""Pattern of the names of the files that TensorBoard reads."""
_NUMBERS = count()


class Board:
    """Writer of a file of TensorBoard events.

    Unlike the writer of torch it has no thread and keeps its file open, so nothing is reported from
    a thread if the folder is removed, and no existing file is opened.

    Args:
        folder: The folder of the file.
        step: TensorBoard hides events of other files in the folder from this step on; 0: none.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        # Slow to import, and needed in training only.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        self._event: Any = Event
        self._summary: Any = summary
        place = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._file = (folder / EVENTS.replace("*", place)).open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a value of a curve."""
        self._write(step=step, summary=self._summary.scalar(name, value))

    def add_image(self, name: str, image: Tensor, step: int) -> None:
        """Add an image `[channels, height, width]` with values from 0 to 1."""
        self._write(step=step, summary=self._summary.image(name, image, dataformats="CHW"))

    def flush(self) -> None:
        """Write all events so far to the file."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
