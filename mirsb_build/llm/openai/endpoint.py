"""One OpenAI-compatible endpoint: its client, its flow control, its retries, and what its errors mean.

All models of a build that share a base URL and a key share one endpoint, so that they share connections and limits too.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import httpx2
import openai

from mirsb_build.errors import ModelError
from mirsb_build.llm.openai.keys import NO_KEY
from mirsb_build.llm.openai.throttle import Throttle

T = TypeVar("T")

BACKOFF = 0.5
"""Seconds before the first retry; doubled for every further one, with jitter."""
MOST_BACKOFF = 20.0


class Rejected(Exception):
    """The endpoint will not take this very request (400, 413, 422); others may still do. `said` is its own words."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Endpoint:
    """A client that keeps an endpoint as busy as it allows and gives up only for good reasons."""

    def __init__(self, base_url: str | None, key: str, *, concurrency: int, timeout: float, deadline: float) -> None:
        limits = httpx2.Limits(max_connections=concurrency + 8, max_keepalive_connections=concurrency + 8)
        self._key = key
        self.client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        )
        self.url = str(self.client.base_url).rstrip("/")
        self.throttle = Throttle(concurrency)
        self._deadline = deadline
        self._answered = -1.0
        """When the last answer came, by the monotonic clock."""
        self._lost = ""
        """Why no further call is sent; empty while calls are."""

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's answer to one POST; raises as `tried` does."""
        return await self.tried(lambda: self._once(path, body))

    async def offered(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Like `post`, for a request that the endpoint may not know how to take.

        An internal error (500) twice in a row is then a refusal: llama.cpp's server answers so to a `response_format`
        that it does not know.
        """
        errors = 0

        async def once() -> dict[str, Any]:
            nonlocal errors
            try:
                return await self._once(path, body)
            except openai.InternalServerError as error:
                errors += error.status_code == 500
                if errors > 1:
                    raise Rejected(self._said(error)) from None
                raise

        return await self.tried(once)

    async def tried(self, call: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
        """What a call of the client gives, tried again until the deadline (seconds; the endpoint's own by default).

        Raises Rejected for a request that the endpoint will not take, ModelError in the provider's own words for what
        no repetition mends (key, model, quota) and for an endpoint that stays out of reach. After such a ModelError
        nothing more is sent: calls that wait for their turn, and later ones, fail with the same words.
        """
        began = time.monotonic()
        until = began + (self._deadline if deadline is None else deadline)
        tries = 0
        while True:
            wait: float | None = None
            refused: Exception | None = None
            problem = ""
            async with self.throttle.turn():
                if self._lost:
                    raise ModelError(self._lost)
                try:
                    answer = await call()
                    self._answered = time.monotonic()
                    self.throttle.admitted()
                    return answer
                except openai.APIStatusError as error:
                    wait = self._retry_after(error)
                    refused = self._judge(error, wait)
                    problem = f"answers {error.status_code} ({self._said(error)})"
                except openai.APITimeoutError:
                    self.throttle.overloaded()
                    problem = "did not answer in time"
                except openai.APIConnectionError as error:
                    problem = f"cannot be reached ({self.quoted(_cause(error))})"
                except ValueError:
                    problem = "answered with something that is not JSON"
            if refused is not None:
                # Raised here and not where it is caught: the client's error may quote the key, and a traceback would
                # show it.
                raise refused
            tries += 1
            if wait is None:
                wait = min(MOST_BACKOFF, BACKOFF * 2 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)
            else:
                wait *= random.uniform(1.0, 1.1)
            if time.monotonic() + wait > until:
                gave_up = (
                    f"{self.url} {problem}, {tries} times in a row; check that it runs and that the profile's base_url "
                    "is right, then run the same command again"
                )
                if self._answered < began:  # nobody got an answer all the while: the others need not wait as long
                    self._lost = gave_up
                raise ModelError(gave_up)
            await asyncio.sleep(wait)

    async def _once(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One try. The answer is taken as JSON: building the client's typed objects would double its cost."""
        response = await self.client.post(path, body=dict(body), cast_to=httpx2.Response)
        self._mind(response.headers)
        answer = json.loads(response.content)
        if not isinstance(answer, dict):
            raise ValueError("not an object")
        return answer  # pyright: ignore[reportUnknownVariableType]

    def _judge(self, error: openai.APIStatusError, wait: float | None) -> ModelError | Rejected | None:
        """What a refused call ends with; None, and the flow control told, where trying again may help."""
        status, said = error.status_code, self._said(error)
        if status in (400, 413, 422):
            return Rejected(said)
        if status in (401, 403):
            self._lost = f"{self.url} does not accept the key: {said}; check the variable or the file that holds it"
        elif status == 404:
            self._lost = f"{self.url}: {said}; check 'model' and 'base_url' in the profile"
        elif status == 429 and error.code == "insufficient_quota":
            self._lost = f"{self.url}: {said}; what is finished is kept, so the same command goes on later"
        else:
            if status == 429:
                self.throttle.refused(wait)
            elif status == 503:
                self.throttle.overloaded()
            return None
        return ModelError(self._lost)

    def _said(self, error: openai.APIStatusError) -> str:
        """The provider's own words in one line, without the key."""
        body: Any = error.body
        words = cast(dict[str, Any], body).get("message") if isinstance(body, dict) else None
        return self.quoted(str(words or error.message))

    def quoted(self, words: str) -> str:
        """Words of the provider's in one line, without the key."""
        words = " ".join(words.split())
        return (words if self._key == NO_KEY else words.replace(self._key, "***"))[:300]

    def _retry_after(self, error: openai.APIStatusError) -> float | None:
        headers = error.response.headers
        for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            try:
                return max(0.0, float(headers[name]) * unit)
            except (KeyError, ValueError):
                continue
        return None

    def _mind(self, headers: Mapping[str, str]) -> None:
        """Send nothing while the endpoint says that no request is left."""
        if headers.get("x-ratelimit-remaining-requests") == "0":
            self.throttle.pause(seconds_of(headers.get("x-ratelimit-reset-requests", "")))


def seconds_of(duration: str) -> float:
    """Seconds of a duration as rate-limit headers write it: `6m0s`, `1.5s`, `20ms`; 0 for anything else."""
    total, number = 0.0, ""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    rest = duration.strip()
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        unit = "ms" if rest.startswith("ms") else rest[:1]
        if not number or unit not in units:
            return 0.0
        total += float(number) * units[unit]
        rest = rest[len(unit) :]
    return total


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__
