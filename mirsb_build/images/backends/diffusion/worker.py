"""The program that runs in a worker process: one pipeline on one device, batches from stdin, pictures to stdout.

It ends when its stdin does, so that no worker outlives the build, however that ended.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from typing import BinaryIO

from mirsb_build.errors import MirsbError
from mirsb_build.images.backends.diffusion.messages import Failed, Hello, Order, encode_frame, read_frame
from mirsb_build.images.backends.diffusion.pipeline import Batch, Pipeline

UNSENT = 2
"""Batches that may wait to be copied and sent while the device draws on."""


def main() -> None:
    """Load what the first message names, then draw until there is nothing more to read."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not fall between the frames
    hello: Hello | None = read_frame(sys.stdin.buffer)
    if hello is None:
        return
    try:
        pipeline = Pipeline(hello.options, hello.device)
        _send(out, pipeline.ready)
        _draw_all(pipeline, out)
    except BrokenPipeError:
        pass  # nobody is there to be told
    except Exception as error:
        _send(out, describe_failure(error))


def _draw_all(pipeline: Pipeline, out: BinaryIO) -> None:
    """Draw batch after batch; finished ones are fetched from the device and sent by a second thread."""
    started: queue.Queue[Batch | None] = queue.Queue(UNSENT)
    sender = threading.Thread(target=_send_all, args=(pipeline, started, out), daemon=True)
    sender.start()
    try:
        while (orders := _read_orders()) is not None:
            started.put(pipeline.start(orders))
    finally:
        started.put(None)
        sender.join()


def _read_orders() -> list[Order] | None:
    return read_frame(sys.stdin.buffer)


def _send_all(pipeline: Pipeline, started: queue.Queue[Batch | None], out: BinaryIO) -> None:
    try:
        while (batch := started.get()) is not None:
            _send(out, pipeline.fetch(batch))
    except BrokenPipeError:
        os._exit(0)  # the build is gone, and a thread cannot end the main one otherwise
    except Exception as error:
        _send(out, describe_failure(error))
        os._exit(1)


def describe_failure(error: Exception) -> Failed:
    """Put an error in words for the user."""
    reason = " ".join(str(error).split())
    return Failed(reason if isinstance(error, MirsbError) else f"{type(error).__name__}: {reason[:300]}")


def _send(out: BinaryIO, message: object) -> None:
    out.write(encode_frame(message))
    out.flush()


if __name__ == "__main__":
    main()
