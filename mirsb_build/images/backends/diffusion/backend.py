"""The diffusion backend: specs of many candidates in batches, a worker process a device, all settings recorded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from PIL import Image as PillowImage

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.folders import check_model, is_folder, model_identity
from mirsb_build.images.backends.diffusion.messages import Answer, Drawn, Hello, Order, Ready
from mirsb_build.images.backends.diffusion.options import Options as DiffusionOptions
from mirsb_build.images.backends.diffusion.process import Worker
from mirsb_build.images.backends.diffusion.requirements import INSTALL, PACKAGES, examine
from mirsb_build.images.context import BackendContext
from mirsb_build.images.prompting import noise_seed, write_prompt
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import Generation, ImageSpec, content_hash
from mirsb_build.runtime.dependencies import Requirement

VERSION = "1"
"""Of what turns a spec into a prompt, a seed and a call; images are cached under it."""
BATCHES_AHEAD = 2
"""Batches that a worker has at once: it draws one while the next lies ready."""

Shape = tuple[int, int]


@dataclass(frozen=True)
class Job:
    """One picture that somebody waits for."""

    spec: ImageSpec
    done: asyncio.Queue[RenderedImage | ModelError]
    rejected: tuple[str, ...] = ()
    """Why the pictures of earlier seeds were not taken."""

    @property
    def shape(self) -> Shape:
        return self.spec.width, self.spec.height

    @property
    def seed(self) -> int:
        return noise_seed(self.spec, len(self.rejected))


class WorkerPort(Protocol):
    """What the backend needs of a worker (`process.Worker`)."""

    ready: Ready

    async def send(self, orders: Sequence[Order]) -> None:
        """Have a batch drawn; answers come in the order of the batches."""
        ...

    async def receive(self) -> Answer:
        """The next answer; raises ModelError when there will be none."""
        ...

    async def end(self) -> None:
        """Stop it, whatever it is doing."""
        ...


StartWorker = Callable[[Hello], Awaitable[WorkerPort]]


@dataclass
class _Station:
    """A worker and what it has to do."""

    worker: WorkerPort
    fits: dict[Shape, int]
    """Largest batches that are known to fit."""
    sent: deque[list[Job]] = field(default_factory=deque[list[Job]])
    """Batches that it has not answered yet, oldest first."""
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BATCHES_AHEAD))


class Diffusion(ImageBackend):
    """Image backend `diffusion`: any text-to-image pipeline of diffusers, on every GPU there is, or on a CPU.

    All jobs lie in one queue, whichever shard they are from, so that batches are full; each worker takes from it as
    many of one shape as fit. Nothing of torch is imported here.
    """

    Options = DiffusionOptions
    draws = "gpu"

    def __init__(
        self, options: DiffusionOptions, context: BackendContext, start_worker: StartWorker = Worker.start
    ) -> None:
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            raise ModelError(f"image backend 'diffusion' needs {', '.join(missing)}; install it with: {INSTALL}")
        self._options = options
        self._start_worker = start_worker
        self._store = context.store
        check_model(options.model, options.revision)
        named = model_identity(options.model, options.revision)
        self.identity = f"diffusion-{VERSION}/{named}/{content_hash(options.drawing())[:12]}"
        self.tries = 1 + options.retries
        self._waiting: deque[Job] = deque()
        self._more = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._failure: ModelError | None = None
        self._results: set[asyncio.Queue[RenderedImage | ModelError]] = set()
        """Where results go, one a running `render`."""

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """Pictures as they are drawn; raises ModelError when a worker cannot go on."""
        done: asyncio.Queue[RenderedImage | ModelError] = asyncio.Queue()
        self._start_serving()
        if self._failure:
            raise self._failure
        self._results.add(done)
        self._waiting.extend(Job(spec, done) for spec in specs)
        self._more.set()
        try:
            for _ in specs:
                result = await done.get()
                if isinstance(result, ModelError):
                    raise result
                yield result
        finally:  # nobody waits for the rest any more
            self._results.discard(done)
            self._waiting = deque(job for job in self._waiting if job.done is not done)

    async def close(self) -> None:
        """End the workers."""
        for done in self._results:
            done.put_nowait(ModelError("the image workers were ended before all pictures were drawn"))
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._serving, self._failure = None, None

    @classmethod
    def examine(cls, options: DiffusionOptions) -> list[Requirement]:
        """Look for all that the options need; nothing is loaded."""
        return examine(options)

    def _start_serving(self) -> None:
        """Begin to work on the queue, if nobody does."""
        if self._serving is None:
            self._more = asyncio.Event()  # of the loop that this is called in
            self._serving = asyncio.ensure_future(self._serve_all_devices())

    async def _serve_all_devices(self) -> None:
        """A worker a device, until one of them fails or this is cancelled."""
        serving: list[asyncio.Task[None]] = []
        try:
            first, *others = self._options.devices or ("",)
            ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
            serving.append(asyncio.ensure_future(self._serve_device(first, ready)))
            await asyncio.wait([ready, *serving], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                serving += [asyncio.ensure_future(self._serve_device(d)) for d in (*others, *ready.result().others)]
            await asyncio.gather(*serving)
        except Exception as error:  # whoever waits must hear of it, whatever it was
            self._failure = error if isinstance(error, ModelError) else ModelError(f"image worker: {error!r}")
            for done in self._results:
                done.put_nowait(self._failure)
        finally:
            for task in serving:
                if not task.cancelling():  # it ends its worker then, which a second time would break off
                    task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve_device(self, device: str, started: asyncio.Future[Ready] | None = None) -> None:
        """Keep one worker busy, and hand out what it draws."""
        worker = await self._start_worker(Hello(self._options, device))
        try:
            if started is not None:
                started.set_result(worker.ready)
            station = _Station(worker, self._load_fits(worker.ready.device))
            await _run_both(self._feed(station), self._collect(station))
        finally:
            await worker.end()

    async def _feed(self, station: _Station) -> None:
        """Send batches as long as there is room for one ahead."""
        while True:
            await station.room.acquire()
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            batch = self._next_batch(station.fits)
            station.sent.append(batch)
            await station.worker.send([Order(self._prompt(job), job.seed, *job.shape) for job in batch])

    async def _collect(self, station: _Station) -> None:
        """Read what was drawn."""
        by = station.worker.ready
        while True:
            answer = await station.worker.receive()
            batch = station.sent.popleft()
            station.room.release()
            self._save_fits(station, batch[0].shape, answer.fits)
            for job, drawn in zip(batch, answer.drawn, strict=True):
                self._deliver(job, drawn, by, answer.seconds / len(batch))

    def _next_batch(self, fits: dict[Shape, int]) -> list[Job]:
        """The next batch: the oldest job, and as many others of its shape as go with it."""
        shape = self._waiting[0].shape
        size = fits.get(shape, self._options.batch)
        batch = [job for job in self._waiting if job.shape == shape][:size]
        taken = {id(job) for job in batch}
        self._waiting = deque(job for job in self._waiting if id(job) not in taken)
        return batch

    def _prompt(self, job: Job) -> str:
        return write_prompt(job.spec, self._options.styles)

    def _deliver(self, job: Job, drawn: Drawn, by: Ready, seconds: float) -> None:
        """Give a picture to whoever waits for it, or have it drawn with the next seed."""
        if drawn.pixels is None:
            job = replace(job, rejected=(*job.rejected, drawn.problem))
            if job.done not in self._results:
                return  # nobody waits for it any more
            if len(job.rejected) < self.tries:
                self._waiting.appendleft(job)
                self._more.set()
                return
            problem = f"none of {len(job.rejected)} seeds gave a picture that can be used: {', '.join(job.rejected)}"
            job.done.put_nowait(RenderedImage(job.spec, None, problem, synthetic=True, seconds=seconds))
            return
        pixels = PillowImage.frombytes("RGB", (drawn.width, drawn.height), drawn.pixels)
        generation = self._generation(job, drawn, by)
        job.done.put_nowait(
            RenderedImage(job.spec, pixels, generation=generation, synthetic=True, seconds=round(seconds, 4))
        )

    def _generation(self, job: Job, drawn: Drawn, by: Ready) -> Generation:
        name = Path(self._options.model).name if is_folder(self._options.model) else self._options.model
        return Generation(
            model=name,
            revision=by.revision,
            pipeline=by.pipeline,
            prompt=drawn.prompt,
            cut=drawn.cut,
            scheduler=by.scheduler,
            steps=self._options.steps,
            guidance=by.guidance,
            negative_prompt=self._options.negative_prompt,
            seed=job.seed,
            rejected=job.rejected,
            dtype=by.dtype,
            device=by.device,
            versions=by.versions,
        )

    # How many pictures fit, remembered by the store for the next run on such a device.

    def _key(self, device: str) -> str:
        return content_hash("batch_size", self.identity, self._options.batch, self._options.offload, device)

    def _load_fits(self, device: str) -> dict[Shape, int]:
        entry = self._store.get_call(self._key(device)) or {}
        return {(width, height): fits for width, height, fits in entry.get("fits", ())}

    def _save_fits(self, station: _Station, shape: Shape, fits: int) -> None:
        if fits < station.fits.get(shape, self._options.batch):
            station.fits[shape] = fits
            known = [[width, height, size] for (width, height), size in sorted(station.fits.items())]
            device = station.worker.ready.device
            self._store.put_call(self._key(device), {"kind": "batch_size", "device": device, "fits": known})


async def _run_both(one: Coroutine[Any, Any, None], other: Coroutine[Any, Any, None]) -> None:
    """Run both until one of them fails; the other is cancelled then."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
