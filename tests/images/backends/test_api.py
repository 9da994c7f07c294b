"""Pictures by an API: what is asked for, what is asked for again, what becomes a verdict, and who pays what once."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image as PillowImage

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.plan import Plan, plan
from mirsb_build.errors import BudgetReached, ModelError, UsageError
from mirsb_build.history import History
from mirsb_build.images import BackendContext, RenderResult, open_backend
from mirsb_build.images.backends.api import MOST_PIXELS
from mirsb_build.images.normalise import Unusable, decode_to_srgb
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import Image, ImageSpec, ModelCall, NoImage
from mirsb_build.views import funnel, prov, story, verify
from tests.factories import image_spec, order, png, run
from tests.openai_server import KEY, Asked, Server, serve

ROUTE = "/v1/images/generations"


class Drawn:
    """A server, and builds whose words are written offline and whose pictures it draws."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.profile = folder / "drawn.yaml"
        self.choose()

    def choose(self, options: dict[str, Any] | None = None, **changes: Any) -> None:
        """Write the profile."""
        model: dict[str, Any] = {"backend": "openai", "model": "brush-1", "base_url": self.server.url}
        model |= {"sampling": {"size": "128x128"}, "prices": {"prompt": 0, "completion": 0, "image": 0.04}}
        model |= {"concurrency": 8, "timeout": 5.0, "deadline": 5.0} | changes
        images = {"backend": "api", "options": options or {}}
        profile = {"extends": "offline", "models": {"illustrator": model}, "images": images}
        self.profile.write_text(yaml.safe_dump(profile | {"description": "Pictures by the loopback server."}))

    def open(self, *settings: str, build: str = "drawn") -> Context:
        few = ("limits.max_iterations=1", "relation_types=[Causality, Analogy]", "seeds.per_category=2")
        return open_context(order(self.folder / "store", *few, *settings, build=build, profile=self.profile))

    def build(self, *settings: str, build: str = "drawn") -> Context:
        opened = self.open(*settings, build=build)
        run(opened)
        return opened

    def render(self, *specs: ImageSpec, **options: Any) -> list[RenderResult]:
        self.choose(options)
        return asyncio.run(self.open().images.render(specs))

    def draw(self, spec: ImageSpec | None = None, **options: Any) -> RenderResult:
        return self.render(spec or image_spec(), **options)[0]

    def drawn(self) -> int:
        return self.server.counts().calls


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawn]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.01)
    with serve() as server:
        yield Drawn(server, tmp_path)


# One picture


def test_a_picture_keeps_its_endpoints_size_and_cites_its_call(api: Drawn) -> None:
    made = api.draw(image_spec(width=300, height=200))
    assert isinstance(made.result, Image)
    assert (made.result.width, made.result.height) == (128, 128)
    assert made.result.backend.startswith("api-1/openai/brush-1/")
    assert [(c.role, c.usage.images, c.cost) for c in made.calls] == [("illustrator", 1, 0.04)]
    data = api.open().images.read(made.result)
    assert b"trainedAlgorithmicMedia" in data


def test_what_is_asked_are_the_specs_own_words(api: Drawn) -> None:
    asked: list[str] = []
    api.server.fault("slow", route=ROUTE, seconds=0, when=lambda a: asked.append(a.body["prompt"]) or True)
    api.draw(styles=["A pencil drawing"])
    assert asked == ["Key. A pencil drawing. A key on a desk."]


def test_a_blank_or_broken_picture_is_asked_for_again_and_both_calls_are_cited(api: Drawn) -> None:
    api.server.fault("blank", route=ROUTE, count=1)
    api.server.fault("broken", route=ROUTE, count=1)
    made = api.draw()
    assert isinstance(made.result, Image)
    assert [call.outcome for call in made.calls] == ["usable"] * 3
    assert len({call.id for call in made.calls}) == 3
    assert api.drawn() == 3


def test_a_picture_that_stays_blank_is_a_verdict_that_costs_what_it_cost(api: Drawn) -> None:
    api.server.fault("blank", route=ROUTE)
    made = api.draw(tries=2)
    assert isinstance(made.result, NoImage)
    assert made.result.reason == "none of 2 pictures can be used: blank, blank"
    assert sum(call.cost for call in made.calls) == pytest.approx(0.08)
    api.draw(tries=2)
    assert api.drawn() == 2, "the verdict is in the cache"


def test_a_picture_that_the_model_would_not_draw_is_a_verdict_and_not_asked_for_again(api: Drawn) -> None:
    api.server.fault("moderation", route=ROUTE, contains="A key on a desk.")
    declined, other = api.render(image_spec(), image_spec(description="A cup on a desk."))
    assert isinstance(declined.result, NoImage)
    assert declined.result.reason == (
        "the image model would not draw it: the endpoint does not take the request: "
        "Your request was rejected by the safety system."
    )
    assert [call.outcome for call in declined.calls] == ["rejected"]
    assert isinstance(other.result, Image)
    api.server.fault("no_picture", route=ROUTE)
    empty = api.draw(image_spec(description="A plate."))
    assert isinstance(empty.result, NoImage)
    assert empty.result.reason == "the image model would not draw it: its answer holds no image"


def test_two_pictures_in_the_same_words_are_two_pictures_and_one_that_stays_is_one(api: Drawn) -> None:
    shared = {"shares": ("style",), "candidate": "a"}
    first, second = api.render(image_spec(index=1, **shared), image_spec(index=2, **shared))
    assert isinstance(first.result, Image)
    assert isinstance(second.result, Image)
    assert first.result.id != second.result.id
    api.draw(image_spec(index=1, width=256, **shared))  # of the same place, in the same words
    assert api.drawn() == 2


def test_a_lost_picture_is_made_again_from_what_the_model_sent_and_if_that_is_lost_too_from_the_model(
    api: Drawn,
) -> None:
    made = api.draw()
    assert isinstance(made.result, Image)
    store = api.open().store
    store.files.delete(store.blob_name(made.result.id, "png"))
    assert api.draw().result == made.result
    assert api.drawn() == 1
    store.files.delete("blobs")
    again = api.draw()
    assert isinstance(again.result, Image)
    assert len(again.calls) == 2
    assert api.drawn() == 2


def test_pixels_are_upright_opaque_and_never_more_than_memory_takes() -> None:
    clear = PillowImage.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert decode_to_srgb(png(clear), MOST_PIXELS, least=1).getpixel((0, 0)) == (255, 255, 255)
    turned, buffer = PillowImage.new("RGB", (8, 4)), io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    turned.save(buffer, format="JPEG", exif=exif)
    assert decode_to_srgb(buffer.getvalue(), MOST_PIXELS, least=1).size == (4, 8)
    with pytest.raises(Unusable, match="more than"):
        decode_to_srgb(bomb(8193, 8193), MOST_PIXELS, least=1)
    assert MOST_PIXELS < 8193 * 8193
    with pytest.raises(Unusable, match="does not decode"):
        decode_to_srgb(b"GIF89a" + bytes(20), MOST_PIXELS, least=1)


def bomb(width: int, height: int) -> bytes:
    """A tiny file that says it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# Many pictures


def test_pictures_are_asked_for_at_once(api: Drawn) -> None:
    api.server.set(latency=0.2)
    made = api.render(*(image_spec(description=f"Cup {n}.", index=n) for n in range(1, 9)))
    assert [one.result.spec.index for one in made] == list(range(1, 9))
    assert api.server.counts().peak >= 4


def test_when_the_endpoint_fails_what_was_drawn_is_kept(api: Drawn) -> None:
    specs = [image_spec(description=f"Cup {n}.", index=n) for n in range(1, 7)]
    api.server.set(latency=0.05)
    api.server.fault("insufficient_quota", route=ROUTE, contains="Cup 3.")
    with pytest.raises(ModelError, match="You exceeded your current quota"):
        api.render(*specs)
    kept = api.drawn()
    assert kept > 0
    api.server.clear_faults()
    assert all(isinstance(made.result, Image) for made in api.render(*specs))
    assert api.drawn() == len(specs)
    assert api.server.counts().repeated == 0


def test_a_backend_that_is_left_early_leaves_no_task_behind(api: Drawn) -> None:
    api.server.set(latency=0.3)
    build = api.open()
    backend: ImageBackend = open_backend(
        build.profile.images, BackendContext(build.store, build.models, build.taxonomy.policy)
    )

    async def first_of(specs: list[ImageSpec]) -> RenderedImage:
        pictures = backend.render(specs)
        async for rendered in pictures:
            await pictures.aclose()  # type: ignore[attr-defined]
            return rendered
        raise AssertionError("nothing came")

    async def story() -> None:
        assert (await first_of([image_spec(index=n) for n in (1, 2, 3)])).pixels is not None
        await asyncio.sleep(0.5)  # calls that were under way end and are kept

    asyncio.run(story())


# What a profile may say


def test_a_profile_without_an_illustrator_hears_of_it_at_once(api: Drawn) -> None:
    with pytest.raises(UsageError, match=r"images.backend: api needs models.illustrator in the profile; add it"):
        open_context(order(api.folder / "store", "images.backend=api"))
    with pytest.raises(UsageError, match="image backend 'api': tries"):
        api.choose({"tries": 0})
        api.open()


def test_the_identity_follows_what_pictures_depend_on(api: Drawn) -> None:
    def identity(options: dict[str, Any] | None = None, **changes: Any) -> str:
        api.choose(options, **changes)
        return api.open().images.identity

    usual = identity()
    assert identity() == usual
    assert identity({"tries": 9}, concurrency=3) == usual
    others = {identity(model="brush-2"), identity(sampling={"size": "64x64"}), identity({"styles": ["A sketch"]})}
    assert len({usual, *others}) == 4


# Whole builds


def illustrations(build: Context) -> list[ModelCall]:
    return [call for call in History(build.store, build.name).calls() if call.role == "illustrator"]


def test_a_build_counts_shows_and_proves_every_picture(api: Drawn) -> None:
    build = api.build()
    history = History(build.store, build.name)
    counted = funnel(history)
    calls = illustrations(build)
    assert len(calls) == api.drawn() == counted.images > 8
    spend = next(s for s in counted.spending if s.role == "illustrator")
    assert (spend.stage, spend.round, spend.model) == ("synthesize", 1, "openai/brush-1")
    assert spend.cost == pytest.approx(0.04 * len(calls)) == counted.cost
    assert verify(history).findings == ()
    candidate = next(iter(history.candidates.values()))
    told = story(history, candidate)
    drawn = [call.id for attempt in told.rounds for call in attempt.calls if call.role == "illustrator"]
    assert len(drawn) == len(told.rounds[0].pictures)
    assert all(str(told.replies[id]).endswith(".png") for id in drawn)
    graph = json.dumps(prov(story(history, candidate)))
    assert all(id[:16] in graph for id in drawn)
    before = api.server.counts().requests
    api.build()
    assert api.server.counts().requests == before


def test_a_build_that_was_stopped_in_the_middle_pays_no_picture_twice(api: Drawn) -> None:
    api.server.fault("insufficient_quota", route=ROUTE, skip=9)
    api.server.set(latency=0.02)
    with pytest.raises(ModelError, match="quota"):
        api.build()
    kept = api.drawn()
    assert kept >= 9
    api.server.clear_faults()
    build = api.build()
    assert api.drawn() == len(illustrations(build)) > kept


def test_a_budget_counts_each_picture_once_in_however_many_runs(api: Drawn) -> None:
    all_of_it = len(illustrations(api.build(build="free")))
    before = api.drawn()
    api.choose(model="brush-2")
    for _ in range(3):
        with pytest.raises(BudgetReached):
            api.build("limits.cost=0.201")
    # What is under way when the limit shows is finished: before the first price is known, that may be a few.
    assert 5 <= api.drawn() - before <= 5 + 8
    build = api.build(f"limits.cost={all_of_it * 0.04 + 0.001}")
    assert len(illustrations(build)) == all_of_it
    assert api.drawn() - before == all_of_it


def test_a_picture_without_an_image_fails_its_candidate_and_says_why(api: Drawn) -> None:
    def first_pictures(asked: Asked) -> bool:
        return int(asked.digest, 16) % 4 == 0

    api.server.fault("moderation", route=ROUTE, when=first_pictures)
    build = api.build()
    history = History(build.store, build.name)
    failed = [c for attempts in history.attempts.values() for c in attempts if any(p.problem for p in c.pictures)]
    assert failed
    for candidate in failed:
        reasons = " ".join(v.reason for v in candidate.failures)
        assert "would not draw it" in reasons
    assert verify(history).findings == ()


def planned(build: Context) -> Plan:
    return plan(build)


def test_a_plan_has_the_calls_and_the_cost_of_pictures(api: Drawn) -> None:
    fresh = planned(api.open())
    drawn = [line for line in fresh.lines if line.stage == "synthesize"]
    assert [line.calls for line in drawn] == [line.images for line in drawn]
    assert fresh.images == sum(line.images for line in drawn) > 0
    assert fresh.cost == pytest.approx(0.04 * fresh.images)
    assert fresh.batch_saving == 0
    api.server.fault("insufficient_quota", route=ROUTE, skip=9)
    with pytest.raises(ModelError):
        api.build()
    made = api.drawn()
    api.server.clear_faults()
    rest = planned(api.open())
    line = rest.lines[0]
    assert (line.stage, line.expected) == ("synthesize", False)
    assert line.calls == line.images > 0
    assert made + line.calls == len(illustrations(api.build()))
    api.choose(prices={"prompt": 5, "completion": 40})
    assert planned(api.open(build="other")).cost > 0.04, "by tokens, where images have no price"
