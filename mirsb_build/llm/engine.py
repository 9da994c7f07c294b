"""Asking text models: render, look into the cache, call, screen, keep, parse; ask again for what is unusable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.reply_schemas import ReplyModel
from mirsb_build.config.taxonomy import Policy
from mirsb_build.errors import UsageError
from mirsb_build.llm.budget import Ledger, cost_of
from mirsb_build.llm.parsing import read_reply
from mirsb_build.ports import Answer, Said, Screen, TextModel
from mirsb_build.records import Exclusion, Message, ModelCall, Reply, ReplyKind, Request, Usage, checksum
from mirsb_build.store import Store

R = TypeVar("R", bound=ReplyModel)

Kept = Callable[[str], tuple[str | None, tuple[Exclusion, ...]]]
"""A reply's text as far as it may stay, and what was taken out of it."""

TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")
"""Sampling parameters that cut a reply off."""

PROBLEMS: dict[ReplyKind, str] = {
    "truncated": "the reply was cut off at the token limit",
    "empty": "the reply was empty",
    "refused": "the model refused",
    "filtered": "a content filter stopped the reply",
    "rejected": "the endpoint does not take the request",
}
"""What a reply of a kind says of itself where it cannot be used."""


@dataclass(frozen=True)
class _Finished(Generic[R]):
    """One finished call, as the cache has it, read."""

    request: Request
    call: ModelCall
    text: str | None
    """The reply as far as it may stay; None when the policy takes all of it."""
    reply: R | None
    problem: str
    exclusions: tuple[Exclusion, ...]


class Models:
    """The text models of a build, by role, behind one call cache and one ledger.

    The same question asked twice at once is one call. All coroutines belong to one event loop.
    """

    def __init__(
        self,
        clients: Mapping[str, TextModel],
        choices: Mapping[str, ModelChoice],
        prompts: Prompts,
        policy: Policy,
        store: Store,
        repairs: int,
        ledger: Ledger,
    ) -> None:
        self._clients = clients
        self._choices = choices
        self._prompts = prompts
        self._policy = policy
        self._store = store
        self._repairs = repairs
        self._ledger = ledger
        self._under_way: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self.calls_made = 0
        """Calls that reached a model since this object was made."""

    def request(
        self, role: str, prompt: str, variables: Mapping[str, Any], sample: int = 0, images: Sequence[str] = ()
    ) -> Request:
        """The first request of a question, without asking it."""
        template, choice = self._prompts[prompt], self._choice(role)
        return Request(
            role=role,
            model=f"{choice.backend}/{choice.model}",
            prompt=prompt,
            prompt_hash=template.hash,
            messages=_with_images(template.render(variables), images),
            reply_schema=template.reply_schema,
            variables=dict(variables),
            sampling=_sampling(choice),
            sample=sample,
        )

    def question(self, role: str, messages: Sequence[Message], sample: int = 0) -> Request:
        """The request of a free-form call, without making it."""
        choice = self._choice(role)
        return Request(
            role=role,
            model=f"{choice.backend}/{choice.model}",
            prompt="",
            prompt_hash="",
            messages=tuple(messages),
            reply_schema={},
            variables={},
            sampling=_sampling(choice),
            sample=sample,
        )

    def identity(self, role: str, prompt: str | None = None) -> list[object]:
        """What a role's answers to a prompt (or its free-form ones) depend on, for the keys of shards."""
        choice = self._choice(role)
        asked: list[object] = [choice.backend, choice.model, choice.sampling, choice.reasoning_effort]
        return [*asked, self._prompts[prompt].hash, self._repairs] if prompt else asked

    def _choice(self, role: str) -> ModelChoice:
        if role not in self._choices:
            raise UsageError(f"the profile names no model for role {role!r}; add models.{role} to it")
        return self._choices[role]

    def is_cached(self, request: Request) -> bool:
        return self._store.get_call(request.key) is not None

    def recall(self, request: Request, reply_model: type[R]) -> R | None:
        """The reply that the cache has for a request, if it has one that can be used."""
        kept = self._store.get_call(request.key)
        return read_reply(reply_model, kept["reply"])[0] if kept and kept["reply"] else None

    async def ask(
        self,
        role: str,
        prompt: str,
        variables: Mapping[str, Any],
        reply_model: type[R],
        screen: Screen[R],
        sample: int = 0,
        images: Sequence[str] = (),
    ) -> Answer[R]:
        """Ask one question; an unusable reply is asked for again, with what was wrong, at most `repairs` times.

        `images` (blobs, as `<sha256>.<extension>`) go with the template's user message, and with every repair.
        A reply that was cut off gets twice the tokens once, beside the repairs. Raises BudgetReached, and ModelError
        where the endpoint gives no answer at all.
        """
        request = self.request(role, prompt, variables, sample, images)
        calls: list[ModelCall] = []
        repairs = self._repairs
        while True:
            finished = await self._finished(request, reply_model, screen)
            calls.append(finished.call)
            if finished.reply is not None or finished.text is None:
                return Answer(finished.reply, tuple(calls), finished.exclusions)
            longer = _with_more_tokens(request) if finished.call.outcome == "truncated" else None
            if longer is not None and not any(c.outcome == "truncated" for c in calls[:-1]):
                request = longer
                continue
            if repairs == 0 or finished.call.outcome == "rejected":
                break
            repairs -= 1
            request = _asked_again(finished)
        unusable = f"the reply stayed unusable after {len(calls)} calls: {finished.problem}"
        return Answer(None, tuple(calls), problem=unusable)

    async def say(self, role: str, messages: Sequence[Message], sample: int = 0) -> Said:
        """Make one free-form call and take whatever comes back.

        The policy is not applied to it, because nobody publishes it: the text stays in the call cache. Raises
        BudgetReached, and ModelError where the endpoint gives no answer at all.
        """
        request = self.question(role, messages, sample)
        kept = self._store.get_call(request.key)
        if kept is None:
            kept = await self._made(request, lambda text: (text, ()))
        kind: ReplyKind = kept["kind_of_reply"]
        return Said(kept["reply"], self._call(request, kept, kind), kind)

    async def _finished(self, request: Request, reply_model: type[R], screen: Screen[R]) -> _Finished[R]:
        """One finished call, from the cache or the model."""
        kept = self._store.get_call(request.key)
        if kept is None:
            made = await self._made(request, lambda text: self._screened(text, reply_model, screen))
            return self._read(request, made, reply_model)
        text, exclusions = self._screened(kept["reply"], reply_model, screen)
        if text != kept["reply"]:  # the policy grew since: what it now excludes does not stay in the cache either
            self._forget_repairs(self._read(request, kept, reply_model), reply_model)
            kept |= {"reply": text, "exclusions": kept["exclusions"] + [e.model_dump() for e in exclusions]}
            self._store.put_call(request.key, kept)
        return self._read(request, kept, reply_model)

    async def _made(self, request: Request, screened: Kept) -> dict[str, Any]:
        """A call that is made now; if the same one is under way, that one."""
        key = request.key
        if key not in self._under_way:
            task = asyncio.ensure_future(self._make(request, screened))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(self._under_way[key])

    async def _make(self, request: Request, screened: Kept) -> dict[str, Any]:
        self._ledger.start()
        try:
            started = time.monotonic()
            reply = await self._clients[request.role].complete(request)
            self.calls_made += 1
            text, exclusions = screened(reply.text)
            kept = _entry(request, reply, text, exclusions, time.monotonic() - started)
            self._store.put_call(request.key, kept)
            self._noted(request, kept)  # before it is over, or another call could take its place in the budget
            return kept
        finally:
            self._ledger.end()

    def _read(self, request: Request, kept: Mapping[str, Any], reply_model: type[R]) -> _Finished[R]:
        """What the cache has of a call, as records cite it."""
        text: str | None = kept["reply"]
        kind: ReplyKind = kept.get("kind_of_reply", "usable")
        reply: R | None = None
        problem = PROBLEMS.get(kind, "")
        if kind == "rejected":
            problem = f"{problem}: {text}"
        elif text is not None and kind in ("usable", "truncated"):
            reply, read, wrong = read_reply(reply_model, text)
            if reply is not None or kind == "usable":
                kind, problem = read, wrong
        exclusions = tuple(Exclusion(**e) for e in kept["exclusions"])
        return _Finished(request, self._call(request, kept, kind), text, reply, problem, exclusions)

    def _call(self, request: Request, kept: Mapping[str, Any], kind: ReplyKind) -> ModelCall:
        """A call as records cite it."""
        usage, cost = self._noted(request, kept)
        return ModelCall(
            id=request.key,
            role=request.role,
            model=request.model,
            prompt=request.prompt,
            prompt_hash=request.prompt_hash,
            reply_hash=checksum(kept["reply"] or ""),
            outcome=kind,
            usage=usage,
            cost=round(cost, 9),
        )

    def _noted(self, request: Request, kept: Mapping[str, Any]) -> tuple[Usage, float]:
        """What a call took, counted towards the budget once."""
        usage = Usage(**kept["usage"])
        cost = cost_of(usage, self._choice(request.role).prices, batch=bool(kept.get("batch")))
        self._ledger.note(request.key, cost)
        return usage, cost

    def _forget_repairs(self, finished: _Finished[R], reply_model: type[R]) -> None:
        """Drop the calls that asked for an unusable reply again, because they quote it."""
        while finished.reply is None and finished.text is not None:
            request = _asked_again(finished)
            kept = self._store.get_call(request.key)
            if kept is None:
                return
            self._store.forget_call(request.key)
            finished = self._read(request, kept, reply_model)

    def _screened(
        self, text: str | None, reply_model: type[R], screen: Screen[R]
    ) -> tuple[str | None, tuple[Exclusion, ...]]:
        """The text as far as it may stay, and what was taken out of it."""
        if text is None:
            return None, ()
        reply, _, _ = read_reply(reply_model, text)
        if reply is None:
            hit = self._policy.screen_unread(text)
            return (None, (hit,)) if hit else (text, ())
        allowed, exclusions = screen(reply)
        if exclusions:
            return (allowed.model_dump_json() if allowed else None), exclusions
        hit = self._policy.screen_unread(text) if not text.lstrip().startswith("{") else None
        return (reply.model_dump_json() if hit else text), ()


def _entry(
    request: Request, reply: Reply, text: str | None, exclusions: tuple[Exclusion, ...], seconds: float
) -> dict[str, Any]:
    """What the call cache keeps of a call."""
    return {
        "kind": "text",
        "request": request.model_dump(mode="json", exclude={"variables"}),
        "reply": text,
        "kind_of_reply": reply.kind,
        "exclusions": [e.model_dump() for e in exclusions],
        "usage": reply.usage.model_dump(),
        "model": reply.model,
        "response_id": reply.response_id,
        "batch": reply.batch,
        "seconds": round(seconds, 4),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _with_images(messages: tuple[Message, ...], images: Sequence[str]) -> tuple[Message, ...]:
    """The messages of a template, the last one of the user with these images."""
    if not images:
        return messages
    last = max(place for place, message in enumerate(messages) if message.role == "user")
    shown = messages[last].model_copy(update={"images": tuple(images)})
    return (*messages[:last], shown, *messages[last + 1 :])


def _sampling(choice: ModelChoice) -> dict[str, Any]:
    return choice.sampling | ({"reasoning_effort": choice.reasoning_effort} if choice.reasoning_effort else {})


def _asked_again(finished: _Finished[R]) -> Request:
    """The same question once more: with the reply and what was wrong with it, or, where there is no reply, afresh."""
    request = finished.request
    if finished.call.outcome != "invalid":
        return request.changed(sample=request.sample + 1)
    again = f"That reply cannot be used: {finished.problem}. Answer with one JSON object that fits the schema, no more."
    more = (Message(role="assistant", content=finished.text or ""), Message(role="user", content=again))
    return request.changed(messages=(*request.messages, *more))


def _with_more_tokens(request: Request) -> Request | None:
    """The same question with twice the tokens for its reply; None where the request sets no limit."""
    limits = {name: 2 * request.sampling[name] for name in TOKEN_LIMITS if request.sampling.get(name)}
    return request.changed(sampling=request.sampling | limits) if limits else None
