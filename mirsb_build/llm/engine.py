"""Asking text models: render, look into the cache, call, screen, keep, parse; ask again for what is unusable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from mirsb_build.config import ModelChoice
from mirsb_build.errors import UsageError
from mirsb_build.ports import Message, Reply, Request, TextModel
from mirsb_build.prompts import Prompts
from mirsb_build.records import Exclusion, ModelCall, Usage, checksum
from mirsb_build.replies import ReplyModel
from mirsb_build.store import Store
from mirsb_build.taxonomy import Policy

R = TypeVar("R", bound=ReplyModel)

Screen = Callable[[R], tuple[R | None, tuple[Exclusion, ...]]]
"""Takes out of a reply what the policy excludes; None when nothing of it may stay."""


@dataclass(frozen=True)
class Answer(Generic[R]):
    """What came of one question: a reply, or a problem, or nothing but exclusions; and every call it took."""

    reply: R | None
    calls: tuple[ModelCall, ...]
    exclusions: tuple[Exclusion, ...] = ()
    problem: str | None = None


class Models:
    """The text models of a build, by role, behind one call cache."""

    def __init__(
        self,
        clients: Mapping[str, TextModel],
        choices: Mapping[str, ModelChoice],
        prompts: Prompts,
        policy: Policy,
        store: Store,
        repairs: int,
    ) -> None:
        self._clients = clients
        self._choices = choices
        self._prompts = prompts
        self._policy = policy
        self._store = store
        self._repairs = repairs
        self.calls_made = 0
        """Calls that reached a model since this object was made."""

    def request(self, role: str, prompt: str, variables: Mapping[str, Any], sample: int = 0) -> Request:
        """The first request of a question, without asking it."""
        template, choice = self._prompts[prompt], self._choice(role)
        return Request(
            role=role,
            model=f"{choice.backend}/{choice.model}",
            prompt=prompt,
            prompt_hash=template.hash,
            messages=template.render(variables),
            reply_schema=template.reply_schema,
            variables=dict(variables),
            sampling=choice.sampling,
            sample=sample,
        )

    def identity(self, role: str, prompt: str) -> list[object]:
        """What the answers of a role to a prompt depend on, beside the variables: for the keys of shards."""
        choice = self._choice(role)
        return [choice.backend, choice.model, choice.sampling, self._prompts[prompt].hash, self._repairs]

    def _choice(self, role: str) -> ModelChoice:
        if role not in self._choices:
            raise UsageError(f"the profile names no model for role {role!r}; add models.{role} to it")
        return self._choices[role]

    def is_cached(self, request: Request) -> bool:
        return self._store.get_call(request.key) is not None

    async def ask(
        self,
        role: str,
        prompt: str,
        variables: Mapping[str, Any],
        reply_model: type[R],
        screen: Screen[R],
        sample: int = 0,
    ) -> Answer[R]:
        """Ask one question; an unusable reply is asked for again, with what was wrong, at most `repairs` times."""
        request = self.request(role, prompt, variables, sample)
        calls: list[ModelCall] = []
        problem = "no reply"
        for _ in range(self._repairs + 1):
            call, text, exclusions = await self._call(request, reply_model, screen)
            calls.append(call)
            if text is None:
                return Answer(None, tuple(calls), exclusions)
            try:
                return Answer(reply_model.model_validate_json(text), tuple(calls), exclusions)
            except ValidationError as error:
                problem = _problem(error)
                request = _asked_again(request, text, problem)
        return Answer(None, tuple(calls), problem=f"the reply stayed unusable after {len(calls)} calls: {problem}")

    async def _call(
        self, request: Request, reply_model: type[R], screen: Screen[R]
    ) -> tuple[ModelCall, str | None, tuple[Exclusion, ...]]:
        """One finished call, from the cache or the model: its record, the text that may stay, what was excluded."""
        kept = self._store.get_call(request.key)
        if kept is None:
            started = time.monotonic()
            reply = await self._clients[request.role].complete(request)
            self.calls_made += 1
            text, exclusions = self._screened(reply.text, reply_model, screen)
            kept = _entry(request, reply, text, exclusions, time.monotonic() - started)
            self._store.put_call(request.key, kept)
        else:
            text, exclusions = self._screened(kept["reply"], reply_model, screen)
            exclusions = (*(Exclusion(**e) for e in kept["exclusions"]), *exclusions)
            if text != kept["reply"]:  # the policy grew since: what it now excludes does not stay in the cache either
                self._forget_repairs(request, kept["reply"], reply_model)
                kept |= {"reply": text, "exclusions": [e.model_dump() for e in exclusions]}
                self._store.put_call(request.key, kept)
        call = ModelCall(
            id=request.key,
            role=request.role,
            model=request.model,
            prompt=request.prompt,
            prompt_hash=request.prompt_hash,
            reply_hash=checksum(text or ""),
            usage=Usage(**kept["usage"]),
        )
        return call, text, exclusions

    def _forget_repairs(self, request: Request, text: str | None, reply_model: type[R]) -> None:
        """Drop the calls that asked for an unusable reply again, because they quote it."""
        while text is not None:
            try:
                reply_model.model_validate_json(text)
                return
            except ValidationError as error:
                request = _asked_again(request, text, _problem(error))
            kept = self._store.get_call(request.key)
            self._store.forget_call(request.key)
            text = kept["reply"] if kept else None

    def _screened(
        self, text: str | None, reply_model: type[R], screen: Screen[R]
    ) -> tuple[str | None, tuple[Exclusion, ...]]:
        """The text as far as it may stay, and what was taken out of it."""
        if text is None:
            return None, ()
        try:
            reply = reply_model.model_validate_json(text)
        except ValidationError:
            hit = self._policy.screen_unread(text)
            return (None, (hit,)) if hit else (text, ())
        allowed, exclusions = screen(reply)
        if not exclusions:
            return text, ()
        return (allowed.model_dump_json() if allowed else None), exclusions


def _entry(
    request: Request, reply: Reply, text: str | None, exclusions: tuple[Exclusion, ...], seconds: float
) -> dict[str, Any]:
    """What the call cache keeps of a call."""
    return {
        "kind": "text",
        "request": request.model_dump(mode="json", exclude={"variables"}),
        "reply": text,
        "exclusions": [e.model_dump() for e in exclusions],
        "usage": reply.usage.model_dump(),
        "response_id": reply.response_id,
        "seconds": round(seconds, 4),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _problem(error: ValidationError) -> str:
    """The first thing that is wrong with a reply."""
    first = error.errors()[0]
    return f"{'.'.join(str(p) for p in first['loc']) or 'reply'}: {first['msg']}"


def _asked_again(request: Request, text: str, problem: str) -> Request:
    """The same question with the unusable reply and what was wrong with it."""
    again = f"That reply cannot be used: {problem}. Answer with one JSON object that fits the schema and nothing else."
    more = (Message(role="assistant", content=text), Message(role="user", content=again))
    return request.model_copy(update={"messages": (*request.messages, *more)})
