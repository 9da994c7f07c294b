"""A small OpenAI-compatible API on loopback, for the real `openai` client, with faults on demand.

    with serve() as server:                            # in a thread of this process
        server.set(latency=0.2, ceiling=Ceiling(100))
        server.fault("rate_limited", count=3, headers={"retry-after-ms": "50"})
        client = AsyncOpenAI(base_url=server.url, api_key=server.key, max_retries=0)

    with spawn() as server:                            # the same calls, in a process of its own
        ...

    python -m tests.openai_server --port 0             # prints its URL; steered over HTTP under /_control

By default it answers with a valid instance of the JSON schema it was sent, the same for the same request. It speaks
chat completions, models, files, batches, images and embeddings, and HTTP/1.1 by itself: a framework would cost more
CPU than the client under measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import math
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

Json = dict[str, Any]

KEY = "sk-loopback-4f1d0c5e92ab"
"""The key it takes unless told otherwise; nobody writes this text by chance."""

INVALID = "invalid_request_error"
UNSUPPORTED = "Invalid parameter: 'response_format' of type '{format}' is not supported with this model."
ERRORS: dict[str, tuple[int, str, str | None, str | None, str]] = {
    "rate_limited": (429, "requests", "rate_limit_exceeded", None, "Rate limit reached for requests."),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota", None, "You exceeded your current quota."),
    "invalid_key": (401, INVALID, "invalid_api_key", None, "Incorrect API key provided: {masked}."),
    "unknown_model": (404, INVALID, "model_not_found", None, "The model `{model}` does not exist."),
    "context_length": (
        400,
        INVALID,
        "context_length_exceeded",
        "messages",
        "This model's maximum context length is 8192.",
    ),
    "no_json_schema": (400, INVALID, None, "response_format", UNSUPPORTED),
    "no_json_object": (400, INVALID, None, "response_format", UNSUPPORTED),
    "moderation": (
        400,
        "image_generation_user_error",
        "moderation_blocked",
        None,
        "Your request was rejected by the safety system.",
    ),
    "prompt_filter": (400, INVALID, "content_filter", "prompt", "The prompt triggered the content management policy."),
    "server_error": (500, "server_error", None, None, "The server had an error while processing your request."),
    "overloaded": (503, "server_error", None, None, "The engine is currently overloaded, please try again later."),
    "status": (500, "server_error", None, None, "told to answer so"),
}
"""What a fault of that name answers: status, type, code, param, message. `status` is for any other status."""

TRANSPORT = ("cut", "hang", "malformed", "slow")
"""Faults of the connection and of what is sent over it."""

REPLIES = (
    "empty truncated content_filter refusal refusal_words fenced chatty violating prose reasoning thoughts no_usage"
).split()
"""Faults of the reply, which is otherwise an answer like any other and counts as a call."""

PICTURES = ("blank", "broken", "no_picture")
"""Faults of the pictures that it draws: one tone, cut off, none at all; they count as calls too."""

MODEL_ROUTES = ("/v1/chat/completions", "/v1/images/generations", "/v1/embeddings")
"""Where the ceiling holds, latency is felt and calls are counted."""

ADDRESSES = "/pictures/"
"""Where pictures lie that were drawn; no key is needed there."""

WORDS = "a quiet kitchen table with green tea beside the open window and some bread near an old radio".split()
REFUSAL = "I'm sorry, but I can't help with that."
THOUGHTS = "The table comes first, then the tea."


def body_hash(body: object) -> str:
    """SHA-256 of a request body: of the same value whatever the order of its keys, online or in a batch."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _draw(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but the parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


# ---------------------------------------------------------------------------------------------- what tests set and read


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    raw: bytes
    body: Json
    """The JSON body; empty where there is none."""
    digest: str
    """`body_hash` of the body."""
    number: int
    """How many requests came before."""
    query: dict[str, str] = field(default_factory=dict[str, str])
    batch: str = ""
    """The batch whose line this is."""
    custom_id: str = ""

    @property
    def messages(self) -> list[Json]:
        return self.body["messages"]

    @property
    def parts(self) -> Iterator[Json]:
        """The content of all messages as parts, text and pictures alike."""
        for message in self.messages:
            content = message.get("content") or ""
            yield from [{"type": "text", "text": content}] if isinstance(content, str) else content

    @property
    def text(self) -> str:
        """All text of the messages, one part a line."""
        return "\n".join(part["text"] for part in self.parts if part.get("type") == "text")

    @property
    def images(self) -> int:
        """How many pictures came with the messages."""
        return sum(part.get("type") == "image_url" for part in self.parts) if "messages" in self.body else 0

    @property
    def question(self) -> str:
        """Hash of model and messages up to the first of the user: asking again with the error shown keeps it."""
        messages = cast(list[Json], self.body.get("messages", []))
        first = next((n for n, message in enumerate(messages) if message.get("role") == "user"), len(messages))
        return body_hash([self.body.get("model"), messages[: first + 1]])

    @property
    def format(self) -> str:
        """`json_schema`, `json_object` or `text`."""
        return self._wanted.get("type", "text")

    @property
    def reply_schema(self) -> Json | None:
        """The JSON schema that came with the request, in either dialect; failing that, one written in the messages."""
        return self._wanted.get("json_schema", self._wanted).get("schema") or _schema_in(self.text)

    @property
    def _wanted(self) -> Json:
        return self.body.get("response_format") or {}


@dataclass(frozen=True)
class Reply:
    """What the model says; a script may return one. Tokens that are None are estimated at four characters each."""

    text: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    """Goes out as `reasoning_content`."""
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass
class Fault:
    """Something that goes wrong on purpose, for the requests that fit all of the conditions."""

    kind: str
    """A name of ERRORS, TRANSPORT, REPLIES or PICTURES."""
    route: str = "/v1/chat/completions"
    """Part of 'METHOD /path'; empty for every route."""
    where: Literal["online", "batch", "both"] = "online"
    """`batch`: lines of batches, where only ERRORS and REPLIES can happen."""
    count: int | None = None
    """How often, for each thing that `per` names; None is always."""
    per: Literal["server", "body", "question"] = "server"
    skip: int = 0
    """How many that would fit are left alone first."""
    fraction: float = 1.0
    """Share of the requests; drawn by seed, body and how often this body came, so not by order of arrival."""
    seed: int = 0
    contains: str = ""
    """Text that the raw body (or line) has to contain."""
    when: Callable[[Asked], bool] | None = None
    """Any other condition; not over HTTP."""
    status: int = 0
    """Instead of the kind's own; for `malformed` instead of 200."""
    message: str = ""
    """Instead of the kind's own; `{key}` becomes the key that was sent. The wording of a refusal."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Sent along, such as retry-after, retry-after-ms or x-ratelimit-remaining-requests."""
    body: str = ""
    """Instead of the whole body, for ERRORS and `malformed`: the page of a gateway, say."""
    seconds: float = 1.0
    """How much later `slow` answers."""
    after: float = 0.5
    """The share of the body that `cut` sends; 0 closes without a byte."""
    hits: int = 0
    """How often it has happened."""

    def __post_init__(self) -> None:
        known = (*ERRORS, *TRANSPORT, *REPLIES, *PICTURES)
        if self.kind not in known:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(known)}")
        if self.kind in TRANSPORT and self.where != "online":
            raise ValueError(f"{self.kind} happens to connections, and a line of a batch has none")
        self._fitting = 0
        self._seen: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()

    def strikes(self, asked: Asked) -> bool:
        """Whether it happens to this request; asking counts."""
        if not self._fits(asked):
            return False
        self._fitting += 1
        self._seen[asked.digest] += 1
        if self._fitting <= self.skip:
            return False
        if self.fraction < 1 and _draw(self.seed, asked.digest, self._seen[asked.digest]) >= self.fraction:
            return False
        whose = {"server": "", "body": asked.digest, "question": asked.question}[self.per] if self.count else ""
        if self.count is not None and self._struck[whose] >= self.count:
            return False
        self._struck[whose] += 1
        self.hits += 1
        return True

    def _fits(self, asked: Asked) -> bool:
        return (
            self.route in f"{asked.method} {asked.path}"
            and self.where in ("both", "batch" if asked.batch else "online")
            and (self.kind not in ("no_json_schema", "no_json_object") or self.kind == f"no_{asked.format}")
            and self.contains.encode() in asked.raw
            and (self.when is None or self.when(asked))
        )

    def refused(self, asked: Asked) -> Refused:
        """The error it answers."""
        refused = Refused(self.kind, asked, self.message, self.status, self.headers)
        return refused if not self.body else refused.saying(self.body)


@dataclass
class Ceiling:
    """A rate beyond which requests are answered 429 (a token bucket)."""

    per_second: float
    burst: float | None = None
    """How many at once after a pause; None is one second's worth."""
    headers: tuple[str, ...] = ("retry-after",)
    """Of retry-after (whole seconds), retry-after-ms and x-ratelimit (also on what is let through)."""

    def __post_init__(self) -> None:
        self._size = max(1.0, self.per_second if self.burst is None else self.burst)
        self._left = self._size
        self._at = time.monotonic()

    def take(self) -> float:
        """0 when let through, else the seconds until it would be."""
        now = time.monotonic()
        self._left = min(self._size, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self.per_second
        self._left -= 1
        return 0.0

    def told(self, wait: float) -> dict[str, str]:
        """The headers that go with an answer."""
        told = {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))} if wait else {}
        told = {name: value for name, value in told.items() if name in self.headers}
        if "x-ratelimit" in self.headers:
            told["x-ratelimit-limit-requests"] = str(int(self._size))
            told["x-ratelimit-remaining-requests"] = str(int(self._left))
            told["x-ratelimit-reset-requests"] = f"{math.ceil((self._size - self._left) / self.per_second * 1000)}ms"
        return told


@dataclass(frozen=True)
class BatchPlan:
    """How batches submitted from now on go."""

    seconds: float = 0.05
    """Spent in each of validating, in_progress, finalizing and cancelling."""
    outcome: Literal["completed", "expired", "failed", "waits"] = "completed"
    """`failed`: refused in validation. `waits`: stays in_progress until it is cancelled."""
    done: float = 0.5
    """Share of the lines executed before a batch expires or waits."""
    failure: str = "token_limit_exceeded"
    """Code of the error of `failed`."""
    shuffle: int = 0
    """Seed of the order in which lines are executed and written."""


@dataclass
class Behaviour:
    """How the server answers when nothing is wrong; `server.set(...)` changes any of it."""

    latency: float = 0.0
    """Seconds a model takes."""
    jitter: float = 0.0
    """At most so many more, by the request."""
    key: str | None = KEY
    """The only key that is let in; None lets everyone in."""
    models: list[str] | None = None
    """The models there are; None takes any name."""
    ceiling: Ceiling | None = None
    max_in_flight: int | None = None
    """Beyond so many at once it answers 503."""
    strict: bool = True
    """Refuse what OpenAI refuses and local servers let pass: schemas that are not strict though they say so, and
    json_object without the word JSON in the messages."""
    version: str = "-2026-01-01"
    """Follows the model's name in replies."""
    fingerprint: str | None = "fp_loopback"
    addresses: bool = False
    """Give the addresses of pictures instead of the pictures."""
    batch: BatchPlan = BatchPlan()


@dataclass(slots=True)
class Entry:
    """One request in the log, which is in the order of the answers."""

    number: int
    """Order of arrival."""
    method: str
    path: str
    digest: str
    name: str
    """The custom_id of a batch line, else the seed of the request."""
    batch: str
    images: int
    started: float
    """Seconds since the start of the server or its last reset."""
    in_flight: int
    """Requests being answered when this one came, with it."""
    status: int = 0
    """499 when the client had gone before the answer; 0 for a hang."""
    seconds: float = 0.0
    fault: str = ""


@dataclass(frozen=True)
class Window:
    """Requests to the models that came within some seconds; rejected are those answered 429 or 503."""

    start: float
    accepted: int
    rejected: int


@dataclass(frozen=True)
class Counts:
    """What has happened since the start or the last reset."""

    requests: int
    """All that were answered."""
    by_status: dict[str, int]
    by_fault: dict[str, int]
    in_flight: int
    peak: int
    """Most requests in flight at once."""
    calls: int
    """Times a model did its work, online and in batches, whether or not the client stayed to hear of it."""
    distinct: int
    """Different bodies among the calls."""
    repeated: int
    """Calls beyond the first of each body."""
    images: int
    """Pictures received in chat messages."""
    batches_submitted: int
    lines_executed: int
    errors: list[str]
    """What went wrong in the server or a script without being asked for."""
    cpu_seconds: float
    """Of the process that the server runs in."""


Script = Callable[[Asked], "str | Json | Reply | None"]


class Refused(Exception):
    """An answer other than 2xx, in OpenAI's words."""

    def __init__(
        self, kind: str, asked: Asked, message: str = "", status: int = 0, headers: dict[str, str] | None = None
    ) -> None:
        usual, type_, code, param, words = ERRORS[kind]
        sent = asked.headers.get("authorization", "").removeprefix("Bearer ")
        known = {"key": sent, "masked": f"{sent[:3]}***{sent[-2:]}", "model": asked.body.get("model")}
        known["format"] = asked.format
        message = message or words
        for name, value in known.items():
            message = message.replace(f"{{{name}}}", str(value))
        super().__init__(message)
        self.body: Json = {"error": {"message": message, "type": type_, "param": param, "code": code}}
        self.answer = Answer.json(self.body, status or usual, headers or {})

    def saying(self, text: str) -> Refused:
        """The same with another body."""
        self.answer = replace(self.answer, body=text.encode(), type="text/html")
        return self


class Invalid(Refused):
    """A request that makes no sense to the API."""

    def __init__(
        self, asked: Asked, message: str, status: int = 400, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__("status", asked, message)
        self.body = {"error": {"message": message, "type": INVALID, "param": param, "code": code}}
        self.answer = Answer.json(self.body, status)


@dataclass(frozen=True)
class Answer:
    """What goes back over the connection."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])
    type: str = "application/json"

    @classmethod
    def json(cls, value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        return cls(status, json.dumps(value).encode(), headers or {})


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file, or one that a batch wrote."""

    id: str
    name: str
    purpose: str
    data: bytes
    created: int

    def described(self) -> Json:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass
class Batch:
    """One batch; `described` is the Batch object of the API, kept up to date."""

    plan: BatchPlan
    described: Json

    @property
    def status(self) -> str:
        return self.described["status"]

    def becomes(self, status: str) -> None:
        self.described |= {"status": status, f"{status}_at": int(time.time())}


class Server:
    """The server's state, open to the test."""

    def __init__(self, url: str, **behaviour: Any) -> None:
        self.url = url
        """The base URL for clients, with /v1."""
        self._first = behaviour
        self.reset()

    def reset(self) -> None:
        """Forget everything but the address and the behaviour it started with."""
        self.behaviour = Behaviour()
        self.set(**self._first)
        self.faults: list[Fault] = []
        self.script: Script | None = None
        """Answers in place of the schema's instance; None from it means the usual reply."""
        self.log: list[Entry] = []
        self.pictures: dict[str, bytes] = {}
        """By the last part of the address."""
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, Batch] = {}
        """By id, oldest first."""
        self.answered: Counter[str] = Counter()
        """Calls by body hash."""
        self.errors: list[Exception] = []
        """What went wrong in the server or a script without being asked for; `serve` raises the first."""
        self.peak = self.in_flight = self.arrived = self.lines_executed = 0
        self.named: set[str] = set()
        self.began = time.monotonic()

    @property
    def key(self) -> str:
        """The key to send."""
        return self.behaviour.key or KEY

    def set(self, **changes: Any) -> None:
        """Change the behaviour; `ceiling` and `batch` may be dicts."""
        for name, made in (("ceiling", Ceiling), ("batch", BatchPlan)):
            if isinstance(changes.get(name), dict):
                changes[name] = made(**changes[name])
        self.behaviour = replace(self.behaviour, **changes)

    def fault(self, kind: str, **conditions: Any) -> Fault:
        """Let something go wrong from now on; the first fault in the list that strikes is the one that happens."""
        self.faults.append(Fault(kind, **conditions))
        return self.faults[-1]

    def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        self.faults = []

    def calls(self, digest: str) -> int:
        """How many times a model worked on this body (see `body_hash`)."""
        return self.answered[digest]

    def counts(self) -> Counts:
        """Everything in one look."""
        return Counts(
            requests=len(self.log),
            by_status=dict(Counter(str(entry.status) for entry in self.log)),
            by_fault=dict(Counter(entry.fault for entry in self.log if entry.fault)),
            in_flight=self.in_flight,
            peak=self.peak,
            calls=self.answered.total(),
            distinct=len(self.answered),
            repeated=self.answered.total() - len(self.answered),
            images=sum(entry.images for entry in self.log),
            batches_submitted=len(self.batches),
            lines_executed=self.lines_executed,
            errors=[repr(error) for error in self.errors],
            cpu_seconds=time.process_time(),
        )

    def windows(self, seconds: float = 1.0) -> list[Window]:
        """Online requests to the models by when they came, in windows of some seconds, empty ones too."""
        entries = [entry for entry in self.log if entry.path in MODEL_ROUTES and not entry.batch]
        rejected = Counter(int(entry.started / seconds) for entry in entries if entry.status in (429, 503))
        total = Counter(int(entry.started / seconds) for entry in entries)
        last = max(total, default=-1)
        return [Window(n * seconds, total[n] - rejected[n], rejected[n]) for n in range(last + 1)]

    def strike(self, asked: Asked) -> Fault | None:
        """The fault that happens to this request."""
        return next((fault for fault in self.faults if fault.strikes(asked)), None)

    def admit(self, asked: Asked) -> dict[str, str]:
        """Let a request in or raise Refused; gives the headers that tell of the ceiling."""
        behaviour = self.behaviour
        if asked.path.startswith(ADDRESSES):
            return {}
        if behaviour.key is not None and asked.headers.get("authorization") != f"Bearer {behaviour.key}":
            raise Refused("invalid_key", asked)
        if asked.path not in MODEL_ROUTES:
            return {}
        if behaviour.max_in_flight is not None and self.in_flight > behaviour.max_in_flight:
            raise Refused("overloaded", asked)
        if behaviour.ceiling is None:
            return {}
        wait = behaviour.ceiling.take()
        told = behaviour.ceiling.told(wait)
        if wait:
            raise Refused("rate_limited", asked, headers=told)
        return told

    async def think(self, asked: Asked) -> None:
        """Take the time that a model takes."""
        seconds = self.behaviour.latency
        if self.behaviour.jitter:
            seconds += self.behaviour.jitter * _draw(asked.digest, self.answered[asked.digest])
        if seconds:
            await asyncio.sleep(seconds)

    def arrive(self, asked: Asked) -> Entry:
        """Note that a request came."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        return Entry(
            asked.number,
            asked.method,
            asked.path,
            asked.digest,
            name=asked.custom_id or str(asked.body.get("seed", "")),
            batch=asked.batch,
            images=asked.images,
            started=time.monotonic() - self.began,
            in_flight=self.in_flight,
        )

    def leave(self, entry: Entry, status: int, *, gone: bool = False) -> None:
        """Note how it was answered."""
        self.in_flight -= 1
        entry.seconds = time.monotonic() - self.began - entry.started
        if status == 200 and entry.path in MODEL_ROUTES:
            self.answered[entry.digest] += 1
        entry.status = 499 if gone and status else status
        self.log.append(entry)

    def keep(self, name: str, purpose: str, data: bytes) -> StoredFile:
        """Store a file under a new id."""
        id_ = f"file-{hashlib.sha256(data).hexdigest()[:12]}{len(self.files):06d}"
        self.files[id_] = StoredFile(id_, name, purpose, data, int(time.time()))
        return self.files[id_]


# ------------------------------------------------------------------------------------------------- instances of schemas


def instance(schema: Json, seed: str) -> Any:
    """A valid instance of a JSON schema, the same for the same seed.

    Knows what pydantic writes, but for `pattern`. Text is made of mild words.
    """
    return _Filler(schema, random.Random(seed)).fill(schema)


class _Filler:
    def __init__(self, root: Json, draw: random.Random) -> None:
        self._root, self._draw = root, draw

    def fill(self, schema: Json, depth: int = 0) -> Any:
        if "$ref" in schema:
            found: Any = self._root
            for step in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else ():
                found = found[step]
            return self.fill(found | {k: v for k, v in schema.items() if k != "$ref"}, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._draw.choice(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                # Deep down no reference where that can be, so that recursive schemas end.
                choices = cast(list[Json], schema[word])
                plain = [choice for choice in choices if "$ref" not in choice] if depth > 4 else []
                return self.fill(self._draw.choice(plain or choices), depth + 1)
        if "allOf" in schema:
            merged = {k: v for part in schema["allOf"] for k, v in part.items()}
            return self.fill({k: v for k, v in schema.items() if k != "allOf"} | merged, depth)
        types: str | list[str] = schema.get("type", "object" if "properties" in schema else "string")
        type_ = types if isinstance(types, str) else self._draw.choice(types)
        makers: dict[str, Callable[[Json, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: self._draw.random() < 0.5,
            "null": lambda _schema, _depth: None,
        }
        return makers[type_](schema, depth)

    def _object(self, schema: Json, depth: int) -> Json:
        made = {name: self.fill(part, depth + 1) for name, part in schema.get("properties", {}).items()}
        other = schema.get("additionalProperties")
        if isinstance(other, dict):
            for n in range(len(made), schema.get("minProperties", 1)):
                made[f"{self._draw.choice(WORDS)} {n}"] = self.fill(cast(Json, other), depth + 1)
        return made

    def _array(self, schema: Json, depth: int) -> list[Any]:
        made = [self.fill(part, depth + 1) for part in schema.get("prefixItems", ())]
        least = schema.get("minItems", 0 if depth > 6 else 1)
        most = least if depth > 6 or "items" not in schema else schema.get("maxItems", least + 2)
        wanted = self._draw.randint(max(least, len(made)), max(most, len(made)))
        for _ in range(100 * wanted):
            if len(made) >= wanted:
                break
            item = self.fill(schema.get("items", {}), depth + 1)
            if not (schema.get("uniqueItems") and item in made):
                made.append(item)
        return made

    def _string(self, schema: Json, _depth: int) -> str:
        known = {
            "date": "2026-01-01",
            "date-time": "2026-01-01T00:00:00Z",
            "time": "00:00:00Z",
            "uuid": "00000000-0000-4000-8000-000000000000",
            "uri": "https://example.org/",
            "email": "someone@example.org",
        }
        if "pattern" in schema:
            raise NotImplementedError("the loopback server makes no text to a pattern; use a script")
        if schema.get("format") in known:
            return known[schema["format"]]
        least = schema.get("minLength", 0)
        most = schema.get("maxLength", least + 60)
        words: list[str] = []
        missing = min(most, max(least, 20))
        while missing > 0:
            words.append(self._draw.choice(WORDS))
            missing -= len(words[-1]) + 1
        return " ".join(words)[:most].strip().ljust(least, "s")

    def _integer(self, schema: Json, _depth: int) -> int:
        step = int(schema.get("multipleOf", 1))
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + 1
        if high is None and "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - 1
        if low is None:
            low = 0 if high is None else min(0, high - 9 * step)
        first = math.ceil(low / step)
        return step * self._draw.randint(first, first + 9 if high is None else math.floor(high / step))

    def _number(self, schema: Json, _depth: int) -> float:
        low = schema.get("minimum", schema.get("exclusiveMinimum", min(0.0, schema.get("maximum", 1.0) - 1)))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1))
        return low + (high - low) * (0.01 + 0.98 * self._draw.random()) if high > low else low


def _schema_in(text: str) -> Json | None:
    """A JSON schema of an object that is written somewhere in a text, as prompts for plain endpoints have it."""
    for found in re.finditer(r"\{", text):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, found.start())
        except ValueError:
            continue
        if isinstance(value, dict) and {"properties", "$defs"} & cast(Json, value).keys():
            return cast(Json, value)
    return None


def _not_strict(schema: Any, where: tuple[str, ...] = ()) -> str:
    """Why OpenAI would not take a schema as strict; empty when it would."""
    if isinstance(schema, list):
        return next((why for part in cast(list[Any], schema) if (why := _not_strict(part, where))), "")
    if not isinstance(schema, dict):
        return ""
    schema = cast(Json, schema)
    if isinstance(properties := schema.get("properties"), dict):
        if schema.get("additionalProperties") is not False:
            return f"In context={where}, 'additionalProperties' is required to be supplied and to be false."
        if missing := [name for name in cast(Json, properties) if name not in schema.get("required", ())]:
            return f"In context={where}, 'required' is required to be supplied and to include '{missing[0]}'."
        return next((why for n, part in cast(Json, properties).items() if (why := _not_strict(part, (*where, n)))), "")
    return next((why for name, part in schema.items() if (why := _not_strict(part, (*where, name)))), "")


# ----------------------------------------------------------------------------------------------------- chat completions


def _check_chat(server: Server, asked: Asked) -> None:
    """Raise Refused for what the API does not take."""
    body, behaviour = asked.body, server.behaviour
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        raise Invalid(asked, "you must provide a model parameter and messages")
    server.named.add(body["model"])
    if behaviour.models is not None and body["model"] not in behaviour.models:
        raise Refused("unknown_model", asked)
    if body.get("n", 1) != 1 or body.get("stream"):
        raise Invalid(asked, "this server gives one choice, not streamed")
    for part in asked.parts:
        if part.get("type") == "image_url":
            address = part["image_url"]["url"]
            if not re.match(r"https?://|data:image/[a-z+]+;base64,[A-Za-z0-9+/]", address):
                raise Invalid(asked, "Invalid image_url: expected a base64 data URI.", code="invalid_image_url")
    if behaviour.strict and asked.format == "json_schema":
        wanted = body["response_format"]["json_schema"]
        if wanted.get("strict") and (why := _not_strict(wanted.get("schema", {}))):
            raise Invalid(
                asked, f"Invalid schema for response_format '{wanted.get('name')}': {why}", param="response_format"
            )
    wordless = asked.format == "json_object" and "schema" not in body["response_format"]
    if behaviour.strict and wordless and "json" not in asked.text.lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise Invalid(asked, message, param="messages")


def _usual_text(asked: Asked) -> str:
    schema = asked.reply_schema
    if schema is not None:
        return json.dumps(instance(schema, asked.digest))
    sentence = " ".join(random.Random(asked.digest).choices(WORDS, k=12))
    return json.dumps({"answer": sentence}) if asked.format == "json_object" else sentence.capitalize() + "."


def _violating(text: str) -> str:
    """JSON without the first key of what it was, or a list when that is no object with keys."""
    value = json.loads(text)
    return json.dumps(dict(list(cast(Json, value).items())[1:])) if value and isinstance(value, dict) else "[]"


def _bend(reply: Reply, fault: Fault) -> Reply:
    """The reply as the fault spoils it."""
    text = reply.text or ""
    changes: dict[str, Json] = {
        "empty": {"text": ""},
        "truncated": {"text": text[: len(text) // 2], "finish_reason": "length"},
        "content_filter": {"text": "", "finish_reason": "content_filter"},
        "refusal": {"text": None, "refusal": fault.message or REFUSAL},
        "refusal_words": {"text": fault.message or REFUSAL},
        "fenced": {"text": f"```json\n{text}\n```"},
        "chatty": {"text": f"Sure, here it is:\n\n{text}\n\nLet me know if I should change anything."},
        "violating": {"text": _violating(text) if fault.kind == "violating" else ""},
        "prose": {"text": "There is a quiet kitchen with green tea on the table."},
        "reasoning": {"reasoning": THOUGHTS, "reasoning_tokens": _tokens(THOUGHTS)},
        "thoughts": {"text": f"<think>\n{THOUGHTS}\n</think>\n\n{text}"},
    }
    return replace(reply, **changes.get(fault.kind, {}))


def _tokens(text: str | None) -> int:
    return math.ceil(len(text or "") / 4)


def _completion(server: Server, asked: Asked, fault: Fault | None) -> Json:
    """The chat completion object; raises Refused."""
    _check_chat(server, asked)
    said = server.script(asked) if server.script else None
    if isinstance(said, dict):
        said = json.dumps(said)
    reply = said if isinstance(said, Reply) else Reply(_usual_text(asked) if said is None else said)
    reply = _bend(reply, fault) if fault else reply
    spent = reply.completion_tokens
    if spent is None:
        spent = _tokens(reply.text or reply.refusal) + reply.reasoning_tokens
    limit = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens")
    if limit and spent > limit:
        room = 4 * max(0, limit - reply.reasoning_tokens)
        reply, spent = replace(reply, text=(reply.text or "")[:room], finish_reason="length"), limit
    prompt = reply.prompt_tokens
    if prompt is None:
        prompt = _tokens(asked.text) + 85 * asked.images
    message: Json = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    usage: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": spent,
        "total_tokens": prompt + spent,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
    }
    return {
        "id": f"chatcmpl-{asked.digest[:12]}{asked.number:07d}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.body["model"] + server.behaviour.version,
        "system_fingerprint": server.behaviour.fingerprint,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}],
        "usage": None if fault and fault.kind == "no_usage" else usage,
    }


async def _chat(server: Server, asked: Asked, fault: Fault | None) -> Answer:
    completion = _completion(server, asked, fault)
    await server.think(asked)
    return Answer.json(completion)


async def _images(server: Server, asked: Asked, fault: Fault | None) -> Answer:
    if not asked.body.get("prompt"):
        raise Invalid(asked, "Missing required parameter: 'prompt'.", param="prompt")
    if "response_format" in asked.body:
        raise Invalid(asked, "Unknown parameter: 'response_format'.", param="response_format")
    if server.behaviour.models is not None and asked.body.get("model") not in server.behaviour.models:
        raise Refused("unknown_model", asked)
    await server.think(asked)
    kind = fault.kind if fault else ""
    count = 0 if kind == "no_picture" else asked.body.get("n") or 1
    data: list[Json] = []
    for n in range(count):
        # The same words asked for twice give two pictures, as a real model's do.
        picture = _png(f"{asked.digest}{n}{server.answered[asked.digest]}", asked.body.get("size"), kind == "blank")
        data.append(_given(server, picture[: len(picture) // 2] if kind == "broken" else picture))
    tokens = {"input_tokens": _tokens(asked.body["prompt"]), "output_tokens": 272 * count}
    usage = tokens | {"total_tokens": sum(tokens.values()), "input_tokens_details": {"cached_tokens": 0}}
    answer = {"created": int(time.time()), "data": data, "output_format": "png", "usage": usage}
    return Answer.json({n: v for n, v in answer.items() if not (n == "usage" and kind == "no_usage")})


def _given(server: Server, picture: bytes) -> Json:
    """A picture as it stands in the answer."""
    if not server.behaviour.addresses:
        return {"b64_json": base64.b64encode(picture).decode()}
    name = hashlib.sha256(picture).hexdigest()
    server.pictures[name] = picture
    return {"url": f"{server.url.removesuffix('/v1')}{ADDRESSES}{name}?signature=not-to-be-shown"}


async def _picture(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    if "authorization" in asked.headers:
        raise Invalid(asked, "A picture's address wants no key.")
    name = asked.path.removeprefix(ADDRESSES)
    if name not in server.pictures:
        raise Invalid(asked, f"No such picture: {name}", 404)
    return Answer(200, server.pictures[name], type="image/png")


def _png(seed: str, size: str | None, blank: bool) -> bytes:
    """A picture of eight by eight blocks (16x16 pixels unless a size is asked for), or of one tone."""
    sides = [int(side) for side in re.findall(r"\d+", size or "")]
    width, height = sides if len(sides) == 2 else (16, 16)
    draw = random.Random(seed)
    rows = [b"".join(draw.randbytes(3) * math.ceil(width / 8) for _ in range(8))[: 3 * width] for _ in range(8)]
    if blank:
        rows = [draw.randbytes(3) * width] * 8
    lines = b"".join(b"\0" + rows[8 * y // height] for y in range(height))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


async def _embeddings(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    given: str | list[str] = asked.body.get("input", [])
    texts = [given] if isinstance(given, str) else given
    if not texts:
        raise Invalid(asked, "'input' must not be empty", param="input")
    await server.think(asked)
    data: list[Json] = []
    for index, text in enumerate(texts):
        draw = random.Random(text)
        vector = [draw.gauss(0, 1) for _ in range(asked.body.get("dimensions") or 8)]
        length = math.hypot(*vector)
        vector = [value / length for value in vector]
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        chosen = packed if asked.body.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": chosen})
    spent = sum(map(_tokens, texts))
    usage = {"prompt_tokens": spent, "total_tokens": spent}
    return Answer.json({"object": "list", "data": data, "model": asked.body.get("model"), "usage": usage})


async def _models(server: Server, _asked: Asked, _fault: Fault | None) -> Answer:
    names = server.behaviour.models if server.behaviour.models is not None else sorted(server.named) or ["any-model"]
    data = [{"id": name, "object": "model", "created": 1767225600, "owned_by": "loopback"} for name in names]
    return Answer.json({"object": "list", "data": data})


# ---------------------------------------------------------------------------------------------------- files and batches


async def _upload(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    boundary = re.search(r'boundary="?([^";]+)', asked.headers.get("content-type", ""))
    sent: dict[str, tuple[str, bytes]] = {}
    for part in asked.raw.split(b"--" + boundary[1].encode())[1:-1] if boundary else ():
        head, _, data = part.partition(b"\r\n\r\n")
        name, filename = re.search(rb'\bname="([^"]*)"', head), re.search(rb'filename="([^"]*)"', head)
        if name:
            sent[name[1].decode()] = (filename[1].decode() if filename else "", data[:-2])
    if "file" not in sent or "purpose" not in sent:
        raise Invalid(asked, "'file' and 'purpose' are required")
    filename, data = sent["file"]
    return Answer.json(server.keep(filename, sent["purpose"][1].decode(), data).described())


def _file(server: Server, asked: Asked) -> StoredFile:
    id_ = asked.path.split("/")[3]
    if id_ not in server.files:
        raise Invalid(asked, f"No such File object: {id_}", 404, param="id")
    return server.files[id_]


async def _file_info(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    return Answer.json(_file(server, asked).described())


async def _file_content(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    return Answer(200, _file(server, asked).data, type="application/octet-stream")


async def _file_delete(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    gone = server.files.pop(_file(server, asked).id)
    return Answer.json({"id": gone.id, "object": "file", "deleted": True})


async def _submit(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    body = asked.body
    if body.get("input_file_id") not in server.files:
        raise Invalid(asked, f"No such File object: {body.get('input_file_id')}", param="input_file_id")
    if server.files[body["input_file_id"]].purpose != "batch":
        raise Invalid(asked, "The input file's purpose has to be 'batch'.", param="input_file_id")
    if body.get("endpoint") != "/v1/chat/completions" or body.get("completion_window") != "24h":
        raise Invalid(asked, "This server's batches are of /v1/chat/completions within 24h.", param="endpoint")
    now = int(time.time())
    described: Json = {
        "id": f"batch_{asked.digest[:12]}{len(server.batches):06d}",
        "object": "batch",
        "endpoint": body["endpoint"],
        "model": None,
        "errors": None,
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + 86400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": body.get("metadata"),
        "usage": None,
    }
    for status in "in_progress finalizing completed failed expired cancelling cancelled".split():
        described[f"{status}_at"] = None
    batch = server.batches[described["id"]] = Batch(server.behaviour.batch, described)
    _start(_run_batch(server, batch, server.files[body["input_file_id"]].data))
    return Answer.json(described)


def _batch(server: Server, asked: Asked) -> Batch:
    id_ = asked.path.split("/")[3]
    if id_ not in server.batches:
        raise Invalid(asked, f"No batch found with id '{id_}'.", 404)
    return server.batches[id_]


async def _batch_info(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    return Answer.json(_batch(server, asked).described)


async def _batch_list(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    newest = [batch.described for batch in reversed(server.batches.values())]
    if after := asked.query.get("after"):
        newest = newest[1 + next((n for n, batch in enumerate(newest) if batch["id"] == after), len(newest)) :]
    data = newest[: int(asked.query.get("limit", 20))]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return Answer.json({"object": "list", "data": data, "has_more": len(newest) > len(data)} | ends)


async def _batch_cancel(server: Server, asked: Asked, _fault: Fault | None) -> Answer:
    batch = _batch(server, asked)
    if batch.status not in ("validating", "in_progress", "finalizing"):
        raise Invalid(asked, f"Cannot cancel a batch with status '{batch.status}'.", 409)
    batch.becomes("cancelling")
    return Answer.json(batch.described)


Problem = tuple[str, str, int | None]


def _problems(server: Server, batch: Batch, lines: list[bytes]) -> list[Problem]:
    """Why a batch does not pass validation: code, message, line."""
    if batch.plan.outcome == "failed":
        return [(batch.plan.failure, f"The batch was refused: {batch.plan.failure}.", None)]
    if not lines:
        return [("empty_file", "The file is empty.", None)]
    found: list[Problem] = []
    ids: set[str] = set()
    models: set[str] = set()
    for n, line in enumerate(lines, 1):
        try:
            asked = json.loads(line)
            id_, body, target = asked["custom_id"], asked["body"], (asked["method"], asked["url"])
            model = str(body["model"])
        except ValueError:
            found.append(("invalid_json_line", "This line is not parseable as valid JSON.", n))
            continue
        except (KeyError, TypeError) as error:
            found.append(("missing_required_parameter", f"Missing required parameter: {error}.", n))
            continue
        if target != ("POST", batch.described["endpoint"]):
            found.append(("mismatched_url", f"The URL is not the batch's endpoint: {target[1]}.", n))
        if id_ in ids:
            found.append(("duplicate_custom_id", f"The custom_id {id_} was used before.", n))
        if server.behaviour.models is not None and model not in server.behaviour.models:
            found.append(("model_not_found", f"The model {model} is not supported by the Batch API.", n))
        models.add(model)
        ids.add(id_)
    if len(models) > 1:
        found.append(("mismatched_model", f"A batch is for one model, this one has {', '.join(sorted(models))}.", None))
    batch.described["model"] = next(iter(models), None)
    return found


async def _run_batch(server: Server, batch: Batch, data: bytes) -> None:
    """Take a batch from validating to its end."""
    plan, state, lines = batch.plan, batch.described, data.splitlines()
    await asyncio.sleep(plan.seconds)
    if problems := _problems(server, batch, lines):
        told = [{"code": code, "message": message, "param": None, "line": n} for code, message, n in problems]
        state["errors"] = {"object": "list", "data": told}
        return batch.becomes("failed")
    waiting = [json.loads(line) for line in lines]
    random.Random(plan.shuffle).shuffle(waiting)
    state["request_counts"]["total"] = len(waiting)
    state["usage"] = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    written: dict[str, list[Json]] = {"output": [], "error": []}
    if batch.status != "cancelling":
        batch.becomes("in_progress")
        left = 0 if plan.outcome == "completed" else len(waiting) - round(plan.done * len(waiting))
        pace = math.ceil(max(1, len(waiting) - left) / 10)
        while len(waiting) > left and batch.status == "in_progress":
            await asyncio.sleep(plan.seconds / 10)
            for _ in range(min(pace, len(waiting) - left)):
                _execute(server, batch, waiting.pop(), written)
        while plan.outcome == "waits" and batch.status == "in_progress":
            await asyncio.sleep(0.005)
    ends = "expired" if plan.outcome == "expired" else "completed"
    if batch.status == "in_progress" and ends == "completed":
        batch.becomes("finalizing")
    await asyncio.sleep(plan.seconds)
    if batch.status == "cancelling":
        ends = "cancelled"
    reason = {
        "expired": "This request could not be executed before the completion window expired.",
        "cancelled": "This request was not executed because the batch was cancelled.",
    }
    for line in waiting:
        error = {"code": f"batch_{ends}", "message": reason[ends]}
        written["error"].append(_written(line["custom_id"], None, error))
    for word, kept in written.items():
        if kept:
            jsonl = b"".join(json.dumps(line).encode() + b"\n" for line in kept)
            state[f"{word}_file_id"] = server.keep(f"{state['id']}_{word}.jsonl", "batch_output", jsonl).id
    batch.becomes(ends)


def _written(custom_id: str, response: Json | None, error: Json | None) -> Json:
    id_ = f"batch_req_{hashlib.sha256(custom_id.encode()).hexdigest()[:16]}"
    return {"id": id_, "custom_id": custom_id, "response": response, "error": error}


def _execute(server: Server, batch: Batch, line: Json, written: dict[str, list[Json]]) -> None:
    """Answer one line of a batch."""
    raw = json.dumps(line["body"], ensure_ascii=False, separators=(",", ":")).encode()
    asked = Asked(
        method="POST",
        path=line["url"],
        headers={},
        raw=raw,
        body=line["body"],
        digest=body_hash(line["body"]),
        number=server.arrived,
        batch=batch.described["id"],
        custom_id=line["custom_id"],
    )
    server.arrived += 1
    server.lines_executed += 1
    entry = server.arrive(asked)
    fault = server.strike(asked)
    entry.fault = fault.kind if fault else ""
    try:
        if fault and fault.kind in ERRORS:
            raise fault.refused(asked)
        status, body = 200, _completion(server, asked, fault)
    except Refused as refused:
        status, body = refused.answer.status, refused.body
    except Exception as error:
        server.errors.append(error)
        status, body = 500, Refused("server_error", asked, repr(error)).body
    server.leave(entry, status)
    response = {"status_code": status, "request_id": f"req_{asked.number:08d}", "body": body}
    written["output" if status == 200 else "error"].append(_written(line["custom_id"], response, None))
    counts, usage = batch.described["request_counts"], batch.described["usage"]
    counts["completed" if status == 200 else "failed"] += 1
    if status == 200 and body["usage"]:
        for ours, theirs in (("input", "prompt"), ("output", "completion"), ("total", "total")):
            usage[f"{ours}_tokens"] += body["usage"][f"{theirs}_tokens"]


# ------------------------------------------------------------------------------------------------------------- the wire

Route = Callable[[Server, Asked, "Fault | None"], Awaitable[Answer]]

ROUTES: list[tuple[str, re.Pattern[str], Route]] = [
    (method, re.compile(path), route)
    for method, path, route in (
        ("POST", "/v1/chat/completions", _chat),
        ("POST", "/v1/images/generations", _images),
        ("GET", f"{ADDRESSES}.+", _picture),
        ("POST", "/v1/embeddings", _embeddings),
        ("GET", "/v1/models", _models),
        ("POST", "/v1/files", _upload),
        ("GET", "/v1/files/[^/]+", _file_info),
        ("GET", "/v1/files/[^/]+/content", _file_content),
        ("DELETE", "/v1/files/[^/]+", _file_delete),
        ("POST", "/v1/batches", _submit),
        ("GET", "/v1/batches", _batch_list),
        ("GET", "/v1/batches/[^/]+", _batch_info),
        ("POST", "/v1/batches/[^/]+/cancel", _batch_cancel),
    )
]

_running: set[asyncio.Task[None]] = set()


def _start(work: Any) -> None:
    """Run something beside; asyncio itself keeps no task alive."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _route(server: Server, asked: Asked, fault: Fault | None) -> Answer:
    for method, path, route in ROUTES:
        if method == asked.method and path.fullmatch(asked.path):
            return await route(server, asked, fault)
    raise Invalid(asked, f"Invalid URL ({asked.method} {asked.path})", 404)


async def _exchange(server: Server, connection: _Connection, asked: Asked) -> None:
    """Answer one request, or do what the fault says instead."""
    entry, fault, told = server.arrive(asked), None, dict[str, str]()
    try:
        told = server.admit(asked)
        fault = server.strike(asked)
        entry.fault = fault.kind if fault else ""
        if fault and fault.kind == "hang":
            await connection.closed.wait()
            return server.leave(entry, 0)
        if fault and fault.kind in ERRORS:
            raise fault.refused(asked)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        answer = await _route(server, asked, fault)
    except Refused as refused:
        answer = refused.answer
    except Exception as error:
        server.errors.append(error)
        answer = Refused("server_error", asked, repr(error)).answer
    if fault and fault.kind == "malformed":
        spoiled = fault.body.encode() or answer.body[: len(answer.body) // 2]
        answer = replace(answer, status=fault.status or answer.status, body=spoiled)
    if fault and answer.status < 400:
        told |= fault.headers
    server.leave(entry, answer.status, gone=connection.closed.is_set())
    headers = told | answer.headers | {"x-request-id": f"req_{asked.number:08d}"}
    cut = fault.after if fault and fault.kind == "cut" else None
    connection.send(replace(answer, headers=headers), cut)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with bodies of known length, one request after the other."""

    def __init__(self, server: Server, open_: set[_Connection]) -> None:
        self._server, self._open = server, open_
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._busy = False
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._open.discard(self)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        """Start on the next request once it is there as a whole."""
        if self._busy:
            return
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            del self._buffer[: end + 4]
            method, target, _ = first.split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self._head = (method, target, headers)
            if "100-continue" in headers.get("expect", ""):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        method, target, headers = self._head
        length = int(headers.get("content-length", 0))
        if "transfer-encoding" in headers:
            return self.send(Answer(411, b'{"error":{"message":"send the length of the body"}}'), 1.0)
        if len(self._buffer) < length:
            return
        raw = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head, self._busy = None, True
        self._begin(method, target, headers, raw)

    def _begin(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> None:
        body: Json = {}
        if raw and "json" in headers.get("content-type", "json"):
            try:
                parsed: Any = json.loads(raw)
                if not isinstance(parsed, dict):
                    raise ValueError("not an object")
                body = cast(Json, parsed)
            except ValueError:
                error = {"message": "We could not parse the JSON body of your request.", "type": INVALID}
                return self.send(Answer.json({"error": error}, 400))
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        server = self._server
        if address.path.startswith("/_control"):
            return self.send(_control(server, method, address.path.removeprefix("/_control"), query, body))
        digest = body_hash(body) if body else hashlib.sha256(raw).hexdigest()
        asked = Asked(method, address.path, headers, raw, body, digest, server.arrived, query)
        server.arrived += 1
        _start(_exchange(server, self, asked))

    def send(self, answer: Answer, cut: float | None = None) -> None:
        """Write an answer; with `cut`, that share of its body and then the end of the connection."""
        if self.closed.is_set():
            return
        lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status < 400 else 'Error'}"]
        lines += [f"content-type: {answer.type}", f"content-length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if cut is None:
            self._transport.write(head + answer.body)
            self._busy = False
            return self._next()
        if cut:
            self._transport.write(head + answer.body[: int(len(answer.body) * cut)])
        self._transport.close()


READINGS: dict[str, Callable[[Server, dict[str, str]], object]] = {
    "": lambda server, _: asdict(server.counts()),
    "/log": lambda server, _: [asdict(entry) for entry in server.log],
    "/windows": lambda server, query: [asdict(w) for w in server.windows(float(query.get("seconds", 1)))],
    "/calls": lambda server, _: server.answered,
    "/key": lambda server, _: server.key,
}
CHANGES: dict[str, Callable[[Server, Json], object]] = {
    "/set": lambda server, body: server.set(**body),
    "/fault": lambda server, body: server.fault(**body),
    "/clear_faults": lambda server, _: server.clear_faults(),
    "/reset": lambda server, _: server.reset(),
}


def _control(server: Server, method: str, path: str, query: dict[str, str], body: Json) -> Answer:
    """Read the counters (GET) or steer the server (POST); outside the log and the counts."""
    try:
        if method == "GET" and path in READINGS:
            return Answer.json(READINGS[path](server, query))
        if method == "POST" and path in CHANGES:
            CHANGES[path](server, body)
            return Answer.json({})
    except (TypeError, ValueError) as error:
        return Answer.json({"error": str(error)}, 400)
    return Answer.json({"error": f"no {method} {path}"}, 404)


# ------------------------------------------------------------------------------------------------------ starting it


def _listening(port: int = 0) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's algorithm off for what it accepts.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(1024)
    return listening


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


async def _accept(server: Server, listening: socket.socket, until: asyncio.Event) -> None:
    """Serve until told to stop; what is still open then is closed without an answer."""
    open_: set[_Connection] = set()
    accepting = await asyncio.get_running_loop().create_server(lambda: _Connection(server, open_), sock=listening)
    await until.wait()
    accepting.close()
    for connection in list(open_):
        connection.abort()


@contextmanager
def serve(**behaviour: Any) -> Generator[Server]:
    """Run a server on a free port of 127.0.0.1, in a thread, until the block ends.

    Raises what went wrong in the server or in a script, unless the block itself failed.
    """
    listening = _listening()
    server = Server(_url(listening), **behaviour)
    loop = asyncio.new_event_loop()
    until = asyncio.Event()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_accept(server, listening, until))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join(timeout=5)
    if server.errors:
        raise server.errors[0]


class Spawned:
    """A server in a process of its own, steered over HTTP; the names are those of `Server`."""

    def __init__(self, url: str, pid: int = 0) -> None:
        self.url, self.pid = url, pid

    def _ask(self, path: str = "", body: object = None) -> Any:
        sent = None if body is None else json.dumps(body, default=asdict).encode()
        address = self.url.removesuffix("/v1") + "/_control" + path
        try:
            with urlopen(HttpRequest(address, sent, {"content-type": "application/json"}), timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    @property
    def key(self) -> str:
        """The key to send."""
        return self._ask("/key")

    def set(self, **changes: Any) -> None:
        """Change the behaviour."""
        self._ask("/set", changes)

    def fault(self, kind: str, **conditions: Any) -> None:
        """Let something go wrong from now on; all of Fault but `when`."""
        self._ask("/fault", {"kind": kind} | conditions)

    def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        self._ask("/clear_faults", {})

    def reset(self) -> None:
        """Forget everything but the address and the behaviour it started with."""
        self._ask("/reset", {})

    def counts(self) -> Counts:
        """Everything in one look."""
        return Counts(**self._ask())

    def calls(self, digest: str) -> int:
        """How many times a model worked on this body."""
        return self._ask("/calls").get(digest, 0)

    def windows(self, seconds: float = 1.0) -> list[Window]:
        """Requests to the models in windows of some seconds."""
        return [Window(**window) for window in self._ask(f"/windows?seconds={seconds}")]

    @property
    def log(self) -> list[Entry]:
        """Every request in the order of the answers."""
        return [Entry(**entry) for entry in self._ask("/log")]


@contextmanager
def spawn(**behaviour: Any) -> Generator[Spawned]:
    """Run a server in a process of its own until the block ends or this process does."""
    command = [sys.executable, "-m", "tests.openai_server", "--with-parent"]
    command += [f"{name}={json.dumps(value, default=asdict)}" for name, value in behaviour.items()]
    here = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the loopback server did not start; its own words are above")
            yield Spawned(url, process.pid)
        finally:
            process.stdin.close()


def main() -> None:
    """Serve until interrupted; the first line printed is the base URL."""
    parser = argparse.ArgumentParser(prog="python -m tests.openai_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input is closed")
    parser.add_argument("behaviour", nargs="*", metavar="NAME=JSON", help='latency=0.2, ceiling={"per_second":100}')
    arguments = parser.parse_args()
    pairs = [pair.partition("=") for pair in arguments.behaviour]
    behaviour = {name: json.loads(value) for name, _, value in pairs}

    async def work() -> None:
        listening = _listening(arguments.port)
        server = Server(_url(listening), **behaviour)
        print(server.url, flush=True)
        until = asyncio.Event()
        if arguments.with_parent:  # nothing is ever written there: readable is its end
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), until.set)
        await _accept(server, listening, until)

    with suppress(KeyboardInterrupt):
        asyncio.run(work())


if __name__ == "__main__":
    main()
