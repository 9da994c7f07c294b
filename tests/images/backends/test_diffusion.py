"""The diffusion backend with real pipelines in real worker processes: what is drawn, recorded, tried again, refused."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from PIL import Image as PillowImage

from mirsb_build.build.context import open_context
from mirsb_build.errors import ModelError, UsageError
from mirsb_build.history import History
from mirsb_build.images import Images
from mirsb_build.images.backends.diffusion.backend import Diffusion, StartWorker, WorkerPort
from mirsb_build.images.backends.diffusion.messages import Answer, Hello, Order
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.images.backends.diffusion.process import Worker
from mirsb_build.images.context import BackendContext
from mirsb_build.images.encoding import SYNTHETIC, XMP
from mirsb_build.images.prompting import noise_seed
from mirsb_build.ports import RenderedImage
from mirsb_build.records import Image, ImageSpec
from mirsb_build.release.dataset import credit
from mirsb_build.store import Store
from mirsb_build.views import prov, story, verify
from tests.factories import image_spec, order, run
from tests.images.pipelines import flux, stable_diffusion, unconditional

REPOSITORY = Path(__file__).parents[3]
STEPS = 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("models") / "small-sd")


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """One event loop for the tests that share workers."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def diffusion(model: Path, portal: BlockingPortal) -> Iterator[Diffusion]:
    """A backend whose worker is started once: loading torch takes seconds."""
    backend = opened(model)
    yield backend
    portal.call(backend.close)


def opened(
    model: Path | str, store: Store | None = None, start_worker: StartWorker = Worker.start, **options: Any
) -> Diffusion:
    chosen = Options(**({"model": str(model), "steps": STEPS, "devices": ("cpu",)} | options))
    models: Any = None  # it asks no models, and reads no captions
    return Diffusion(chosen, BackendContext(store or Store("memory://"), models, models), start_worker)


def spec(n: int = 1, **changes: Any) -> ImageSpec:
    return image_spec(**({"description": f"A key on desk {n}.", "width": 64, "height": 64} | changes))


async def rendered(backend: Diffusion, specs: Sequence[ImageSpec]) -> list[RenderedImage]:
    found = {one.spec.id: one async for one in backend.render(specs)}
    return [found[one.id] for one in specs]


def pixels(one: RenderedImage) -> bytes:
    assert one.pixels is not None, one.problem
    return one.pixels.tobytes()


# What is drawn, and what is told of it


def test_every_spec_gets_a_picture_of_its_size_with_all_that_it_was_drawn_with(
    diffusion: Diffusion, portal: BlockingPortal
) -> None:
    specs = [spec(1), spec(2, width=128), spec(3)]
    drawn = portal.call(rendered, diffusion, specs)
    assert [one.pixels.size for one in drawn if one.pixels] == [(64, 64), (128, 64), (64, 64)]
    for one, wanted in zip(drawn, specs, strict=True):
        told = one.generation
        assert one.synthetic and one.seconds > 0 and told is not None
        assert (told.model, told.steps, told.guidance, told.scheduler) == ("small-sd", STEPS, 7.5, "DDIMScheduler")
        assert (told.dtype, told.device, told.pipeline) == ("float32", "cpu", "StableDiffusionPipeline")
        assert told.seed == noise_seed(wanted) and told.rejected == ()
        assert told.prompt.startswith("Key.") and wanted.description in f"{told.prompt} {told.cut}"
        assert {"torch", "diffusers", "transformers"} <= set(told.versions)


def test_a_picture_does_not_depend_on_its_neighbours_to_the_eye(diffusion: Diffusion, portal: BlockingPortal) -> None:
    specs = [spec(n) for n in range(10, 16)]
    together = portal.call(rendered, diffusion, specs)
    for one, wanted in zip(together, specs, strict=True):
        [alone] = portal.call(rendered, diffusion, [wanted])
        assert max(abs(a - b) for a, b in zip(pixels(one), pixels(alone), strict=True)) <= 1
        assert one.generation == alone.generation


def test_pictures_that_share_the_noise_start_from_it(diffusion: Diffusion, portal: BlockingPortal) -> None:
    shared = [spec(n, index=n, shares=("noise",), candidate="b") for n in (1, 2)]
    seeds = [one.generation.seed for one in portal.call(rendered, diffusion, shared) if one.generation]
    assert len(seeds) == 2 and len(set(seeds)) == 1


def test_two_requests_at_once_share_batches_and_each_gets_its_own(diffusion: Diffusion, portal: BlockingPortal) -> None:
    async def both() -> list[list[RenderedImage]]:
        wanted = [[spec(n) for n in range(20, 24)], [spec(n) for n in range(24, 28)]]
        return await asyncio.gather(*(rendered(diffusion, specs) for specs in wanted))

    one, other = portal.call(both)
    assert [r.spec.description for r in (*one, *other)] == [f"A key on desk {n}." for n in range(20, 28)]
    assert len({pixels(r) for r in (*one, *other)}) == 8


def test_the_stored_file_says_that_a_model_drew_it(
    diffusion: Diffusion, portal: BlockingPortal, memory_store: Store
) -> None:
    images = Images(diffusion, memory_store)
    [made] = portal.call(images.render, [spec(30)])
    assert isinstance(made.result, Image) and made.result.generation is not None
    stored = PillowImage.open(io.BytesIO(images.read(made.result)))
    stored.load()
    assert SYNTHETIC in stored.info[XMP] and made.result.spec.id in stored.info[XMP]


# Pictures that cannot be used


class Altered:
    """A worker whose answers are altered on their way, and the batches that it was sent."""

    def __init__(self, worker: Worker, alter: Callable[[list[Order], Answer], Answer], sent: list[list[Order]]) -> None:
        self.ready = worker.ready
        self._worker = worker
        self._alter = alter
        self._sent = sent
        self._answered = 0

    async def send(self, orders: Sequence[Order]) -> None:
        self._sent.append(list(orders))
        await self._worker.send(orders)

    async def receive(self) -> Answer:
        answer = await self._worker.receive()
        self._answered += 1
        return self._alter(self._sent[self._answered - 1], answer)

    async def end(self) -> None:
        await self._worker.end()


def altering(alter: Callable[[list[Order], Answer], Answer], sent: list[list[Order]]) -> StartWorker:
    async def start(hello: Hello) -> WorkerPort:
        return Altered(await Worker.start(hello), alter, sent)

    return start


def test_an_unusable_picture_is_drawn_again_with_the_next_seed_and_then_given_up(model: Path) -> None:
    good, bad = spec(40), spec(41)
    black = {noise_seed(good), *(noise_seed(bad, attempt) for attempt in range(3))}

    def blacken(orders: list[Order], answer: Answer) -> Answer:
        drawn = (
            replace(one, pixels=None, problem="black") if order.seed in black else one
            for order, one in zip(orders, answer.drawn, strict=True)
        )
        return replace(answer, drawn=tuple(drawn))

    async def draw() -> list[RenderedImage]:
        backend = opened(model, start_worker=altering(blacken, []))
        try:
            return await rendered(backend, [good, bad])
        finally:
            await backend.close()

    first, second = asyncio.run(draw())
    assert first.generation is not None
    assert (first.generation.seed, first.generation.rejected) == (noise_seed(good, 1), ("black",))
    assert second.pixels is None
    assert second.problem == "none of 3 seeds gave a picture that can be used: black, black, black"


# What a picture is cached under


def test_the_identity_changes_with_the_model_and_how_it_draws_and_with_nothing_else(
    model: Path, tmp_path: Path
) -> None:
    known = opened(model).identity
    for change in ({"steps": 3}, {"guidance": 2.0}, {"scheduler": "EulerDiscreteScheduler"}, {"dtype": "bfloat16"}):
        assert opened(model, **change).identity != known
    for change in ({"batch": 2}, {"devices": ("cpu", "cpu")}, {"retries": 5}, {"offload": True}):
        assert opened(model, **change).identity == known
    adapter = tmp_path / "lines"
    adapter.mkdir()
    (adapter / "weights").write_bytes(b"one")
    laid = opened(model, adapters=[{"model": str(adapter)}]).identity
    (adapter / "weights").write_bytes(b"two")
    assert len({known, laid, opened(model, adapters=[{"model": str(adapter)}]).identity}) == 3
    other = stable_diffusion(tmp_path / "small-sd")
    assert opened(other).identity == known, "the same model in another folder"
    config = other / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.02", "0.03"))
    assert opened(other).identity != known


def test_opening_the_backend_loads_no_torch(model: Path) -> None:
    program = f"""
import sys
from mirsb_build.images.backends.diffusion.backend import Diffusion
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.images.context import BackendContext
from mirsb_build.store import Store
Diffusion(Options(model={str(model)!r}), BackendContext(Store("memory://"), None, None))
print("torch" in sys.modules, "diffusers" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.split() == ["False", "False"]


# Workers


def test_several_devices_draw_side_by_side(model: Path) -> None:
    others = set(workers())

    async def draw() -> tuple[list[RenderedImage], set[int]]:
        backend = opened(model, devices=("cpu", "cpu"), batch=2)
        try:
            drawn = await rendered(backend, [spec(n) for n in range(50, 66)])
            return drawn, set(workers()) - others
        finally:
            await backend.close()

    drawn, processes = asyncio.run(draw())
    assert len({pixels(one) for one in drawn}) == 16
    assert len(processes) == 2
    assert set(workers()) == others


def workers() -> list[int]:
    """Worker processes that this process has."""
    children = psutil.Process().children()
    return [child.pid for child in children if "images.backends.diffusion.worker" in " ".join(child.cmdline())]


def test_a_worker_that_dies_ends_the_request_and_the_next_run_goes_on(model: Path, memory_store: Store) -> None:
    others = set(workers())
    specs = [spec(n) for n in range(60)]

    async def draw(*, kill: bool) -> int:
        images = Images(opened(model, batch=1), memory_store)
        drawing = asyncio.ensure_future(images.render(specs))
        try:
            while kill and not (memory_store.files.exists("blobs") and memory_store.files.names("blobs")):
                await asyncio.sleep(0.05)
            for pid in set(workers()) - others if kill else ():
                os.kill(pid, signal.SIGKILL)
            await drawing
        finally:
            await images.close()
        return images.images_made

    with pytest.raises(ModelError, match=r"image worker on cpu was killed by signal 9 .*run the same command again"):
        asyncio.run(draw(kill=True))
    assert 0 < asyncio.run(draw(kill=False)) < len(specs)


def test_no_worker_outlives_a_build_that_is_killed(model: Path) -> None:
    program = f"""
import asyncio
from mirsb_build.images.backends.diffusion.messages import Hello
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.images.backends.diffusion.process import Worker
async def main():
    worker = await Worker.start(Hello(Options(model={str(model)!r}), "cpu"))
    print(worker.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    build = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert build.stdout is not None
    worker = int(build.stdout.readline())
    build.kill()
    build.wait()
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}/status").exists() and "zombie" not in Path(f"/proc/{worker}/status").read_text():
        assert time.monotonic() < until, "the worker lives on"
        time.sleep(0.05)


def test_how_many_pictures_fit_is_remembered_by_the_store(model: Path, memory_store: Store) -> None:
    async def draw(fits: int) -> list[int]:
        sent: list[list[Order]] = []
        start = altering(lambda _, answer: replace(answer, fits=fits), sent)
        backend = opened(model, memory_store, start, batch=8)
        try:
            await rendered(backend, [spec(n) for n in range(7)])
        finally:
            await backend.close()
        return [len(batch) for batch in sent]

    assert asyncio.run(draw(fits=3)) == [7]
    assert asyncio.run(draw(fits=8)) == [3, 3, 1]


def test_ending_the_workers_ends_whoever_waits_for_them(model: Path) -> None:
    async def closed() -> None:
        backend = opened(model, batch=1)
        drawing = asyncio.ensure_future(rendered(backend, [spec(n) for n in range(100)]))
        await asyncio.sleep(1)
        await backend.close()
        await asyncio.wait_for(drawing, 30)

    with pytest.raises(ModelError, match="were ended before all pictures were drawn"):
        asyncio.run(closed())


def test_a_worker_that_leaves_much_unread_is_ended_all_the_same(model: Path) -> None:
    async def abandon() -> None:
        buffer = 2**10  # the pipe pauses long before a picture is read
        worker = await Worker.start(Hello(Options(model=str(model), steps=1), "cpu"), buffer)
        await worker.send([Order("a key", n, 64, 64) for n in range(8)])
        await asyncio.sleep(3)
        await asyncio.wait_for(worker.end(), 60)
        assert not Path(f"/proc/{worker.pid}").exists()

    asyncio.run(abandon())


# What goes wrong


def test_a_folder_that_is_no_model_is_told_before_anything_is_begun(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no folder of a diffusers pipeline"):
        opened(tmp_path)
    with pytest.raises(ModelError, match="only names on a Hub have revisions"):
        opened(model, revision="v1")


def test_what_a_worker_cannot_load_is_the_error_of_the_request(model: Path) -> None:
    async def draw() -> None:
        backend = opened(model, scheduler="AutoencoderKL")
        try:
            await rendered(backend, [spec()])
        finally:
            await backend.close()

    with pytest.raises(ModelError, match="has no scheduler 'AutoencoderKL'"):
        asyncio.run(draw())


@pytest.fixture(params=[(404, "RevisionNotFound"), (404, "RepoNotFound"), (403, "GatedRepo"), (0, "")])
def hub(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Address of a Hub that refuses everything in its own way, and the way; the last is not there at all."""
    status, code = request.param

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"X-Error-Code": code, "X-Error-Message": code, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    if status:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    else:
        server.server_close()
    yield f"http://127.0.0.1:{server.server_port}", code
    if status:
        server.shutdown()
        server.server_close()


SAID = {
    "RevisionNotFound": "some-team/some-model: revision 'v9' does not exist; name a commit, tag or branch of it",
    "RepoNotFound": "some-team/some-model is not on the Hub, or not for this HF_TOKEN; check images.options.model",
    "GatedRepo": "some-team/some-model is gated: accept its terms on the Hub and set HF_TOKEN",
    "": "some-team/some-model at revision 'v9' is not on this disk and cannot be fetched",
}


@pytest.mark.slow
def test_a_model_that_the_hub_does_not_give_is_told_in_one_line(
    hub: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, code = hub
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    async def start() -> None:
        await Worker.start(Hello(Options(model="some-team/some-model", revision="v9"), "cpu"))

    with pytest.raises(ModelError) as caught:
        asyncio.run(start())
    assert str(caught.value).startswith(SAID[code])
    assert "\n" not in str(caught.value)


def test_options_that_cannot_be_are_named(tmp_path: Path) -> None:
    for setting, said in (
        ("images.options={model: m, stepps: 3}", "stepps"),
        ("images.options={model: ''}", "name a folder or a model"),
        ("images.options={steps: 3}", "model"),
        ("images.options={model: m, devices: [gpu]}", "gpu"),
    ):
        with pytest.raises(UsageError, match=f"image backend 'diffusion': .*{said}"):
            open_context(order(tmp_path, "images.backend=diffusion", setting))


def test_doctor_tells_a_model_that_is_here_from_one_that_is_not(model: Path, tmp_path: Path) -> None:
    def told(**options: Any) -> dict[str, tuple[bool, str]]:
        found = Diffusion.examine(Options(**({"model": str(model)} | options)))
        return {name: (ok, detail) for name, ok, detail in found}

    here = told()
    assert here["torch"][0] and here["diffusers"][0]
    ok, detail = here["model small-sd"]
    assert ok and detail.startswith("StableDiffusionPipeline, in a folder, contents ")
    no_text = unconditional(tmp_path / "no-text")
    assert told(model=str(no_text))["model no-text"] == (
        False,
        "is a DDPMPipeline, which makes no pictures from text alone",
    )
    assert told(model=str(tmp_path))[f"model {tmp_path.name}"][0] is False
    absent = told(model="some-team/some-model", revision="v1")["model some-team/some-model"]
    assert absent == (
        False,
        "not on this disk: the build fetches it, or `hf download some-team/some-model --revision v1`",
    )
    assert told(devices=["cuda:0"])["devices"][0] is (shutil.which("nvidia-smi") is not None)


# A whole build


@pytest.mark.slow
def test_a_build_draws_its_pictures_and_finds_them_again(tmp_path: Path) -> None:
    model = flux(tmp_path / "small-flux")
    settings = (
        "images.backend=diffusion",
        f"images.options={{model: {model}, steps: {STEPS}, devices: [cpu]}}",
        "images.width=64",
        "images.height=64",
        "checks.integrity.min_spread=0",
        "relation_types=[Temporal_Jump, Analogy]",
    )
    first = open_context(order(tmp_path / "store", *settings))
    outcome = run(first)
    assert outcome.passed > 0 and first.images.images_made > 0
    history = History(first.store, first.name)
    assert verify(history).findings == ()
    candidate = next(c for c in history.candidates.values() if history.attempts[c.id][-1].passed)
    told = story(history, candidate)
    image = told.rounds[-1].pictures[0].image
    assert image is not None and image.generation is not None
    assert image.spec.shares == first.taxonomy.relation_type(candidate.relation_type).shares
    assert credit(image) == (
        f"drawn by small-flux at {image.generation.revision}, {STEPS} steps, seed {image.generation.seed}"
    )
    assert any("small-flux@" in agent for agent in prov(told)["agent"])
    assert str(tmp_path) not in told.model_dump_json(), "no path of this machine goes into a record"
    again = open_context(order(tmp_path / "store", *settings))
    assert run(again) == outcome
    assert again.images.images_made == 0
