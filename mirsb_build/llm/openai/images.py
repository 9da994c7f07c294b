"""A model that draws behind an OpenAI-compatible endpoint: a request's words as an image, kept as a blob."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, cast

import httpx2

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.errors import ModelError
from mirsb_build.llm.openai import endpoint as endpoints
from mirsb_build.llm.openai.endpoint import Endpoint, Rejected
from mirsb_build.records import Reply, Request, Usage
from mirsb_build.store import Store

LARGEST = 64 * 2**20
"""Bytes of an image that is fetched, at most."""
FETCHES = 3
"""How often an image that was drawn is fetched from its address before it is given up."""


class OpenAIImages:
    """One image model of one endpoint.

    The reply's text is the name of the image's blob, `<sha256>.<extension>`, so that the call cache stays small and
    whoever reads it finds the pixels. The request says nothing of `response_format`, which newer models refuse and
    older ones default sensibly; base64 and addresses are both taken.
    """

    def __init__(self, choice: ModelChoice, endpoint: Endpoint, store: Store) -> None:
        self._choice = choice
        self._endpoint = endpoint
        self._store = store

    async def complete(self, request: Request) -> Reply:
        """One image; raises ModelError when the endpoint will not or cannot answer, or its image cannot be had."""
        prompt = request.messages[-1].content
        body = {"model": self._choice.model, "prompt": prompt, **request.sampling, "n": 1}
        try:
            answer = await self._endpoint.post("/images/generations", body)
        except Rejected as rejected:
            return Reply(text=rejected.said, kind="rejected")
        data = await self._image_in(answer)
        return Reply(
            text=f"{self._store.put_blob(data, _extension(data))}.{_extension(data)}" if data else "",
            kind="usable" if data else "empty",
            usage=_usage(answer.get("usage") or {}, images=1 if data else 0),
            model=str(answer.get("model") or ""),
            response_id=str(answer.get("id") or ""),
        )

    async def _image_in(self, answer: dict[str, Any]) -> bytes:
        """The first image of an answer; empty where it holds none."""
        images: Any = answer.get("data")
        if not isinstance(images, list):
            raise ModelError("the endpoint's answer holds no images; check base_url and model of models.illustrator")
        first: Any = next(iter(cast(list[Any], images)), None)
        image = cast(dict[str, Any], first) if isinstance(first, dict) else {}
        if encoded := image.get("b64_json"):
            return _decoded(str(encoded).rpartition(",")[2])  # some put `data:image/png;base64,` before it
        address = str(image.get("url") or "")
        if address.startswith("data:"):
            return _decoded(address.rpartition(",")[2])
        return await self._fetched(address) if address else b""

    async def _fetched(self, address: str) -> bytes:
        """The bytes at an address; its path and query are never shown, because they may grant access."""
        problem = ""
        try:
            url = httpx2.URL(address)
        except httpx2.InvalidURL as error:
            raise ModelError("the endpoint's answer has an image at an address that is none; check base_url") from error
        if url.scheme not in ("http", "https"):
            raise ModelError(
                f"the endpoint's answer has an image at a {url.scheme or 'relative'} address; check base_url"
            )
        for attempt in range(FETCHES):
            try:
                return await self._read(url)
            except httpx2.HTTPStatusError as error:
                problem = f"answers {error.response.status_code}"
            except httpx2.HTTPError as error:
                problem = f"fails with {type(error).__name__}"
            await asyncio.sleep(endpoints.BACKOFF * 2**attempt)
        raise ModelError(
            f"an image was drawn, but {url.host} {problem} when it is fetched, {FETCHES} times in a row; "
            "run the same command again, which has it drawn anew"
        )

    async def _read(self, url: httpx2.URL) -> bytes:
        # A client of its own: the endpoint's would send the key along.
        own = httpx2.AsyncClient(timeout=self._choice.timeout, follow_redirects=True)
        async with own as client, client.stream("GET", url) as response:
            response.raise_for_status()
            data = bytearray()
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > LARGEST:
                    raise ModelError(
                        f"the image at {url.host} is larger than {LARGEST // 2**20} MB; ask for a smaller one in "
                        "models.illustrator.sampling"
                    )
            return bytes(data)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded)
    except (binascii.Error, ValueError) as error:
        raise ModelError("the endpoint's answer has an image that is no base64; check base_url and model") from error


def _extension(data: bytes) -> str:
    """By the first bytes; raises ModelError for what is no image that we know."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise ModelError(
        "the endpoint's image is neither PNG nor JPEG nor WebP; ask for one of them in models.illustrator.sampling "
        "(output_format: png), or check base_url"
    )


def _usage(usage: dict[str, Any], *, images: int) -> Usage:
    details: dict[str, Any] = usage.get("input_tokens_details") or {}
    return Usage(
        prompt_tokens=usage.get("input_tokens") or 0,
        cached_tokens=details.get("cached_tokens") or 0,
        completion_tokens=usage.get("output_tokens") or 0,
        images=images,
    )
