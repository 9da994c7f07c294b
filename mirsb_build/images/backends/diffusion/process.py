"""A worker process, as the backend uses it: start, send batches, read answers, end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.messages import (
    LENGTH,
    Answer,
    Failed,
    Hello,
    Order,
    Ready,
    decode_frame,
    encode_frame,
)

LINES_KEPT = 5
"""Lines of a worker's stderr that are kept, for the message should it die."""
END_TIMEOUT = 5.0
"""Seconds that an ended process is waited for."""
BUFFER = 2**26
"""Bytes of a frame that are buffered before the pipe waits: some twenty pictures of 1024 x 1024."""


class Worker:
    """One process with one pipeline on one device."""

    def __init__(self, process: asyncio.subprocess.Process, device: str) -> None:
        self._process = process
        self._device = device
        self._last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._stderr_reader = asyncio.ensure_future(self._read_stderr())
        self.ready: Ready

    @classmethod
    async def start(cls, hello: Hello, buffer: int = BUFFER) -> Worker:
        """Start a worker and wait until it has loaded its model; raises ModelError where it could not."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mirsb_build.images.backends.diffusion.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=buffer,
            env=_environment(),
            start_new_session=True,  # with all that it starts itself, so that nothing of it is left
        )
        worker = cls(process, hello.device or "the first device")
        try:
            await worker._send(hello)
            worker.ready = await worker._receive(Ready)
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    async def send(self, orders: Sequence[Order]) -> None:
        """Have a batch drawn; answers come in the order of the batches."""
        await self._send(list(orders))

    async def receive(self) -> Answer:
        """The next answer; raises ModelError when there will be none."""
        return await self._receive(Answer)

    async def end(self) -> None:
        """Stop the process, whatever it is doing."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._stderr_reader.cancel()
        await asyncio.gather(self._stderr_reader, return_exceptions=True)
        with suppress(asyncio.TimeoutError):  # asyncio sees the end only when all pipes were read to theirs
            await asyncio.wait_for(self._process.communicate(), END_TIMEOUT)

    async def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # it died: what it leaves unsaid shows when it is read
            self._process.stdin.write(encode_frame(message))
            await self._process.stdin.drain()

    async def _receive(self, kind: type[Any]) -> Any:
        assert self._process.stdout is not None
        try:
            head = await self._process.stdout.readexactly(LENGTH.size)
            body = await self._process.stdout.readexactly(LENGTH.unpack(head)[0])
        except asyncio.IncompleteReadError:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(
                    asyncio.gather(self._process.wait(), asyncio.shield(self._stderr_reader)), END_TIMEOUT
                )
            code = self._process.returncode
            ended = f"ended with {code}" if code is None or code >= 0 else f"was killed by signal {-code}"
            ended += " (often: too little memory)" if code == -signal.SIGKILL else ""
            words = f"; its last words: {self._last_lines[-1]}" if self._last_lines else ""
            raise ModelError(f"the image worker on {self._device} {ended}{words}; run the same command again") from None
        message = await asyncio.to_thread(decode_frame, body)
        if isinstance(message, Failed):
            raise ModelError(message.reason)
        assert isinstance(message, kind)
        return message

    async def _read_stderr(self) -> None:
        """Keep the last lines of the worker's stderr; all of them go to ours with --debug."""
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            text = line.decode(errors="replace").strip()
            if text:
                self._last_lines.append(text)
                if os.environ.get("MIRSB_DEBUG"):
                    print(f"{self._device}: {text}", file=sys.stderr)


def _environment() -> dict[str, str]:
    """Ours, with the package in reach wherever the process was started, and libraries that ask no network for news."""
    paths = [path for path in sys.path if path]
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | quiet
