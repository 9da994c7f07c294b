"""A model behind an OpenAI-compatible endpoint: requests as chat completions, and what comes back as replies."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any, cast

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.errors import ModelError
from mirsb_build.llm.openai.endpoint import Endpoint, Rejected
from mirsb_build.records import Message, Reply, ReplyKind, Request, Usage, content_hash
from mirsb_build.store import Store

FORMATS = ("json_schema", "json_object_schema", "json_object", "text")
"""Ways to ask for JSON, the strictest first; `json_object_schema` is llama.cpp's dialect."""

REFUSAL = re.compile(
    r"^\W*(?:"
    r"i['\u2019]?m (?:really |very |so )?sorry|sorry\b|i apologi[sz]e|as an ai\b|"
    r"i (?:can(?:no|['\u2019])t|won['\u2019]t|will not|am unable|am not able|must decline)|"
    r"i['\u2019]m (?:unable|not able))",
    re.IGNORECASE,
)
"""How refusals in words begin."""

LAX_WORDS = ("minLength", "maxLength", "title", "default")
"""Words of JSON schema that strict modes refuse, or that, like long maxLengths, make llama.cpp's server give up."""

_PROBE_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


class OpenAIModel:
    """One model of one endpoint.

    How it is asked for JSON is found out once, by small calls that no budget counts, and remembered in the
    store: schemas where the endpoint has them, JSON mode, or plain text from which the engine takes the JSON.
    """

    def __init__(self, choice: ModelChoice, endpoint: Endpoint, store: Store) -> None:
        self._choice = choice
        self._endpoint = endpoint
        self._store = store
        self._format: str | None = None
        self._finding = asyncio.Lock()

    async def complete(self, request: Request) -> Reply:
        """One chat completion; raises ModelError when the endpoint will not or cannot answer at all."""
        try:
            json_format = await self.json_format() if request.reply_schema else "text"
            answer = await self._endpoint.post("/chat/completions", self.body(request, json_format))
        except Rejected as rejected:
            return Reply(text=rejected.said, kind="rejected")
        return reply_of(answer)

    def body(self, request: Request, json_format: str) -> dict[str, Any]:
        """The body of the call, for live calls and batches alike; a request without a schema asks for no format."""
        *before, last = request.messages
        if request.reply_schema and json_format in ("json_object", "text"):
            schema = json.dumps(request.reply_schema, separators=(",", ":"))
            ask = f"Answer with one JSON object and nothing else. It has to fit this JSON schema:\n{schema}"
            last = last.model_copy(update={"content": f"{last.content}\n\n{ask}"})
        messages = [{"role": m.role, "content": self._content(m)} for m in (*before, last)]
        body: dict[str, Any] = {"model": self._choice.model, "messages": messages, **request.sampling}
        if request.reply_schema and (response_format := _response_format(json_format, request.reply_schema)):
            body["response_format"] = response_format
        return body

    def _content(self, message: Message) -> str | list[dict[str, Any]]:
        """Plain text, or the text and then its images as data URIs; raises Damaged for an image that is lost."""
        if not message.images:
            return message.content
        parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}]
        for image in message.images:
            sha256, _, extension = image.partition(".")
            data = base64.b64encode(self._store.get_blob(sha256, extension)).decode()
            kind = "jpeg" if extension == "jpg" else extension
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}})
        return parts

    async def json_format(self) -> str:
        """How this model is asked for JSON; found out once an endpoint and model."""
        if self._format is None:
            async with self._finding:
                if self._format is None:
                    self._format = await self._find_format()
        return self._format

    async def _find_format(self) -> str:
        key = content_hash("json_format", self._endpoint.url, self._choice.model)
        kept = self._store.get_call(key)
        if kept and kept.get("format") in FORMATS:
            return kept["format"]
        found = "text"
        for candidate in FORMATS[:-1]:
            if await self._gives_json(candidate):
                found = candidate
                break
        self._store.put_call(key, {"kind": "json_format", "url": self._endpoint.url, "format": found})
        return found

    async def _gives_json(self, json_format: str) -> bool:
        """Whether the endpoint takes the format and answers by it."""
        ask = "Name one colour of red, green and blue, as a JSON object with the key colour."
        body = {
            "model": self._choice.model,
            "messages": [{"role": "user", "content": ask}],
            "response_format": _response_format(json_format, _PROBE_SCHEMA),
        }
        try:
            answer = await self._endpoint.offered("/chat/completions", body)
            return isinstance(json.loads(reply_of(answer).text)["colour"], str)
        except (Rejected, ValueError, KeyError, TypeError):
            return False


def reply_of(answer: dict[str, Any]) -> Reply:
    """A chat completion as a reply; raises ModelError for something that is none."""
    try:
        choice: dict[str, Any] = answer["choices"][0]
        message: dict[str, Any] = choice["message"]
    except (KeyError, IndexError, TypeError) as error:
        raise ModelError("the endpoint's answer is no chat completion; check the profile's base_url") from error
    text = _whole(message.get("content"))
    return Reply(
        text=text or _whole(message.get("refusal")),
        kind=_kind(choice, message, text),
        usage=_usage(answer.get("usage") or {}),
        model=str(answer.get("model") or ""),
        response_id=str(answer.get("id") or ""),
    )


def _whole(text: object) -> str:
    """The text without half characters: a reply that is cut inside an emoji ends in one, and it could not be kept."""
    return str(text or "").encode(errors="replace").decode()


def _kind(choice: dict[str, Any], message: dict[str, Any], text: str) -> ReplyKind:
    if message.get("refusal"):
        return "refused"
    if choice.get("finish_reason") == "content_filter":
        return "filtered"
    if choice.get("finish_reason") == "length":
        return "truncated"
    if not text.strip():
        return "empty"
    return "refused" if REFUSAL.match(text) else "usable"


def _usage(usage: dict[str, Any]) -> Usage:
    prompt: dict[str, Any] = usage.get("prompt_tokens_details") or {}
    completion: dict[str, Any] = usage.get("completion_tokens_details") or {}
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=prompt.get("cached_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") or 0,
    )


def _response_format(json_format: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    if json_format == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "reply", "schema": _strict(schema), "strict": True}}
    if json_format == "json_object_schema":
        return {"type": "json_object", "schema": _strict(schema)}
    return {"type": "json_object"} if json_format == "json_object" else None


def _strict(schema: Any) -> Any:
    """A schema without what strict modes do not know; the reply is validated against all of it in any case."""
    if isinstance(schema, list):
        return [_strict(item) for item in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    rules = cast(dict[str, Any], schema)
    kept = {key: _strict(value) for key, value in rules.items() if key not in LAX_WORDS and key != "properties"}
    properties: dict[str, Any] = rules.get("properties", {})
    return kept | ({"properties": {n: _strict(p) for n, p in properties.items()}} if properties else {})
