"""TensorBoard event files, written while the caller waits.

tensorboardX's own SummaryWriter writes in a thread; on a full disk that thread ends, and the training then
waits for ever for room in its queue. Here an error reaches the caller.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter


class EventFile:
    """One file in `folder`, made at the first write. `step` is the number of pictures seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Raises OSError; what came later than an interrupted write goes to another file."""
        self._write(step, *(summary.scalar(tag, value) for tag, value in values.items()))

    def picture(self, step: int, tag: str, pixels: np.ndarray) -> None:
        """`pixels` uint8 [H, W, 3]. Raises OSError."""
        self._write(step, summary.image(tag, pixels, dataformats="HWC"))

    def _write(self, step: int, *summaries: Any) -> None:
        try:
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                # The name's shape is TensorBoard's; two runs in one second must not share it.
                name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
                self._writer = RecordWriter(str(self._folder / name))
                self._event(0, file_version="brain.Event:2")
                # Steps that an earlier run computed beyond its last checkpoint are shown no more.
                self._event(step, session_log=SessionLog(status=SessionLog.START))
            for one in summaries:
                self._event(step, summary=one)
            self._writer.flush()
        except OSError:
            self.close()
            raise

    def _event(self, step: int, **content: Any) -> None:
        event = Event(wall_time=time.time(), step=step, **content)
        self._writer.write(event.SerializeToString())

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.close()
