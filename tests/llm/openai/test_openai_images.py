"""An image model behind an OpenAI-compatible endpoint: what it is asked, what its answers become, what they cost."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image as PillowImage

from mirsb_build.config.profiles import ModelChoice, Prices
from mirsb_build.config.prompts import ILLUSTRATOR, Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import ModelError, UsageError
from mirsb_build.llm import Ledger, Models, cost_of, open_models
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.llm.openai import images as openai_images
from mirsb_build.llm.openai.images import OpenAIImages
from mirsb_build.ports import Said
from mirsb_build.records import Message, Usage
from mirsb_build.store import Store
from tests.factories import noise
from tests.openai_server import KEY, Server, serve

ROUTE = "/v1/images/generations"
WORDS = "Tea, table. A quiet kitchen table with green tea."


class Drawing:
    """Pictures asked for by one process after the other."""

    def __init__(self, store: Store, prompts: Prompts, taxonomy: Taxonomy, server: Server) -> None:
        self.store, self.prompts, self.taxonomy, self.server = store, prompts, taxonomy, server

    def models(self, **choice: Any) -> Models:
        values: dict[str, Any] = {"backend": "openai", "model": "brush-1", "base_url": self.server.url}
        values |= {"deadline": 3.0, "sampling": {"size": "32x32"}}
        choices = {ILLUSTRATOR: ModelChoice(**(values | choice))}
        clients = open_models(choices, self.store)
        ledger = Ledger("tests", None, None)
        return Models(clients, choices, self.prompts, self.taxonomy.policy, self.store, 2, ledger)

    def once(self, sample: int = 0, words: str = WORDS, **choice: Any) -> Said:
        said = self.models(**choice).say(ILLUSTRATOR, [Message(role="user", content=words)], sample)
        return asyncio.run(said)

    def pixels(self, said: Said) -> PillowImage.Image:
        return PillowImage.open(io.BytesIO(self.store.get_blob(*said.text.split("."))))


@pytest.fixture
def drawing(store: Store, prompts: Prompts, taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawing]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.01)
    with serve() as server:
        yield Drawing(store, prompts, taxonomy, server)


def answering(monkeypatch: pytest.MonkeyPatch, **answer: Any) -> None:
    """Let the endpoint answer with this and nothing else."""

    async def post(self: object, path: str, body: object) -> dict[str, Any]:
        return answer

    monkeypatch.setattr(endpoint_module.Endpoint, "post", post)


def test_a_picture_is_a_blob_and_the_reply_is_its_name(drawing: Drawing) -> None:
    said = drawing.once()
    assert said.kind == "usable"
    assert said.text.endswith(".png")
    assert drawing.pixels(said).size == (32, 32)
    assert said.call.usage == Usage(prompt_tokens=13, completion_tokens=272, images=1)
    assert (said.call.role, said.call.model, said.call.prompt) == ("illustrator", "openai/brush-1", "")


def test_the_same_picture_is_paid_once_and_another_sample_is_another_picture(drawing: Drawing) -> None:
    first, again, other = drawing.once(), drawing.once(), drawing.once(sample=1)
    assert (first.text, first.call) == (again.text, again.call)
    assert other.text != first.text
    assert drawing.server.counts().calls == 2


def test_what_the_profile_says_of_sampling_is_sent_and_no_response_format(drawing: Drawing) -> None:
    bodies: list[dict[str, Any]] = []
    drawing.server.fault("slow", route=ROUTE, seconds=0, when=lambda asked: bodies.append(asked.body) or True)
    drawing.once(sampling={"size": "32x32", "quality": "low", "n": 4})
    assert bodies == [{"model": "brush-1", "prompt": WORDS, "size": "32x32", "quality": "low", "n": 1}]


def test_a_picture_at_an_address_is_fetched_without_the_key(drawing: Drawing) -> None:
    drawing.server.set(addresses=True)
    said = drawing.once()
    assert drawing.pixels(said).size == (32, 32)
    assert drawing.server.counts().by_status == {"200": 2}


def test_an_address_that_fails_is_tried_again_and_then_named_by_its_host_alone(drawing: Drawing) -> None:
    drawing.server.set(addresses=True)
    drawing.server.fault("overloaded", route="/pictures/", count=2)
    assert drawing.once().kind == "usable"
    drawing.server.fault("overloaded", route="/pictures/")
    with pytest.raises(
        ModelError, match=r"127.0.0.1 answers 503 when it is fetched, 3 times in a row; run the same"
    ) as stop:
        drawing.once(sample=1)
    assert "signature" not in str(stop.value)
    assert drawing.server.counts().calls == 2


def test_a_picture_that_is_too_large_is_not_read_to_its_end(drawing: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing.server.set(addresses=True)
    monkeypatch.setattr(openai_images, "LARGEST", 50)
    with pytest.raises(ModelError, match="is larger than 0 MB; ask for a smaller one"):
        drawing.once()


@pytest.mark.parametrize(("format", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_picture_in_a_data_address_is_read_whatever_its_format(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch, format: str, extension: str
) -> None:
    buffer = io.BytesIO()
    noise(1).save(buffer, format=format)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    answering(monkeypatch, data=[{"url": f"data:image/x;base64,{encoded}"}])
    said = drawing.once()
    assert said.text.endswith(f".{extension}")
    assert drawing.pixels(said).size == (128, 128)
    answering(monkeypatch, data=[{"b64_json": f"data:image/x;base64,{encoded}"}])
    assert drawing.once(sample=1).text == said.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"choices": []}, "holds no images; check base_url and model"),
        ({"data": [{"b64_json": base64.b64encode(b"<svg/>").decode()}]}, "neither PNG nor JPEG nor WebP"),
        ({"data": [{"b64_json": "abc"}]}, "is no base64"),
        ({"data": [{"url": "file:///etc/hostname"}]}, "at a file address"),
        ({"data": [{"url": "cats.png"}]}, "at a relative address"),
        ({"data": [{"url": "http://[::1"}]}, "at an address that is none"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_an_answer_that_cannot_be_used_is_one_line_that_says_what_to_check(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], said: str
) -> None:
    answering(monkeypatch, **answer)
    with pytest.raises(ModelError, match=said) as stop:
        drawing.once()
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("data", [[], [None], [{}]])
def test_an_answer_without_a_picture_is_empty_and_costs_no_picture(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch, data: list[Any]
) -> None:
    answering(monkeypatch, data=data)
    said = drawing.once()
    assert (said.kind, said.text, said.call.usage.images) == ("empty", "", 0)


def test_a_request_that_the_safety_system_stops_is_rejected_in_its_own_words_and_not_sent_again(
    drawing: Drawing,
) -> None:
    drawing.server.fault("moderation", route=ROUTE)
    said = drawing.once()
    assert (said.kind, said.text) == ("rejected", "Your request was rejected by the safety system.")
    assert said.call.usage == Usage()
    drawing.server.clear_faults()
    assert drawing.once().kind == "rejected", "it is in the cache"
    assert drawing.server.counts().requests == 1


def test_a_busy_endpoint_is_asked_until_it_draws(drawing: Drawing) -> None:
    drawing.server.fault("rate_limited", route=ROUTE, count=2, headers={"retry-after-ms": "10"})
    drawing.server.fault("server_error", route=ROUTE, count=1)
    assert drawing.once().kind == "usable"
    assert drawing.server.counts().calls == 1


def test_images_are_paid_by_the_piece_by_tokens_or_both() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=2_000_000, images=3)
    assert cost_of(usage, Prices(prompt=0, completion=0, image=0.04)) == pytest.approx(0.12)
    assert cost_of(usage, Prices(prompt=5, completion=40)) == pytest.approx(85)
    assert cost_of(usage, Prices(prompt=5, completion=40, image=0.04)) == pytest.approx(85.12)
    assert (usage + usage).images == 6


def test_what_the_call_cost_is_in_the_cache_and_in_the_call(drawing: Drawing) -> None:
    said = drawing.once(prices=Prices(prompt=0, completion=0, image=0.04))
    assert said.call.cost == pytest.approx(0.04)
    kept = drawing.store.get_call(said.call.id)
    assert kept is not None
    assert kept["usage"]["images"] == 1
    assert len(json.dumps(kept)) < 2000, "the pixels are in the blob"


def test_batches_of_pictures_and_an_offline_illustrator_are_refused_with_the_way_out(drawing: Drawing) -> None:
    with pytest.raises(
        UsageError, match="'illustrator': images cannot be asked for in batches; take 'mode: batch' out"
    ):
        drawing.models(mode="batch")
    with pytest.raises(UsageError, match=r"the offline model draws no pictures; give models.illustrator the backend"):
        drawing.models(backend="offline")


def test_it_is_a_text_model_beside_others_on_one_endpoint(drawing: Drawing) -> None:
    choice = ModelChoice(backend="openai", model="m", base_url=drawing.server.url)
    models = open_models({"revisor": choice, ILLUSTRATOR: choice}, drawing.store)
    assert isinstance(models[ILLUSTRATOR], OpenAIImages)
    assert not isinstance(models["revisor"], OpenAIImages)
