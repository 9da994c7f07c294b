"""A candidate before judges behind a real server: the filter stage with model checks, and the server's script."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from mirsb_build.checks import open_checks
from mirsb_build.config.profiles import ModelChoice, Prices
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.images import Images
from mirsb_build.llm import Ledger, Models, open_models
from mirsb_build.ports import AnyCheck
from mirsb_build.records import Candidate, Verdict
from mirsb_build.stages.filter import Filter
from mirsb_build.store import Store
from tests.factories import NoiseBackend, candidate, judged_by, picture, seed_query, stored_image
from tests.openai_server import Asked, Server

LOCAL: dict[str, dict[str, Any]] = {
    "structure": {},
    "lexical_leakage": {},
    "integrity": {"min_side": 64},
    "image_duplicates": {},
}


class Judges:
    """The filter stage with judges in it; `says` is what the server answers a question with."""

    def __init__(self, store: Store, prompts: Prompts, taxonomy: Taxonomy, server: Server, *roles: str) -> None:
        self.store, self.prompts, self.taxonomy, self.server, self.roles = store, prompts, taxonomy, server, roles
        self.says: Callable[[Asked], Any] = lambda asked: None
        self.asked: list[Asked] = []
        """Questions that came, without those that find out how JSON is asked for."""
        server.script = self

    def __call__(self, asked: Asked) -> Any:
        if "<item>" not in asked.text and "<request>" not in asked.text:
            return None
        self.asked.append(asked)
        return self.says(asked)

    def models(self, repairs: int = 1, calls: int | None = None, mode: Any = "live") -> Models:
        """One model a role, named after it."""
        prices = Prices(prompt=1.0, completion=2.0)
        choices = {
            role: ModelChoice(
                backend="openai", model=role, base_url=self.server.url, deadline=1.0, prices=prices, mode=mode
            )
            for role in self.roles
        }
        clients = open_models(choices, self.store)
        ledger = Ledger("tiny", None, calls)
        return Models(clients, choices, self.prompts, self.taxonomy.policy, self.store, repairs, ledger)

    def checks(self, checks: dict[str, Any], **models: Any) -> list[AnyCheck]:
        return open_checks({**LOCAL, **checks}, self.taxonomy, self.models(**models))

    def filter(self, checks: dict[str, Any], **models: Any) -> Filter:
        return Filter(self.checks(checks, **models), Images(NoiseBackend(), self.store), self.taxonomy)

    def judge(self, *candidates: Candidate, checks: dict[str, Any], **models: Any) -> list[Candidate]:
        return judged_by(self.checks(checks, **models), self.store, self.taxonomy, *candidates)

    def drawn(self, number: int = 1, pictures: int = 2, **changes: Any) -> Candidate:
        """Candidate number so-and-so, which passes the local checks."""
        shown = tuple(
            picture(f"Thing {s}.", f"thing{s}", "cord", image=stored_image(self.store, s))
            for s in range(10 * number, 10 * number + pictures)
        )
        seed = seed_query(f"How can I hum tune number {number}?")
        places = " and ".join(f"picture {n}" for n in range(1, pictures + 1))
        prompt = f"Explain question {number}: how do {places} belong together, one after the other?"
        return candidate(**({"seed_query": seed, "prompt": prompt, "pictures": shown} | changes))

    def shown_to(self, asked: Asked, of: Candidate) -> list[int]:
        """Numbers of the candidate's pictures whose bytes came with a question, in the order in which they came."""
        data = {self.store.get_blob(p.image.id, "png"): n for n, p in enumerate(of.pictures, 1) if p.image}
        return [data[sent] for sent in sent_in(asked)]


def sent_in(asked: Asked) -> list[bytes]:
    """The bytes of the images of a question."""
    urls = [part["image_url"]["url"] for part in asked.parts if part.get("type") == "image_url"]
    return [base64.b64decode(re.sub(r"^data:image/\w+;base64,", "", url)) for url in urls]


def said(of: Candidate, check: str) -> Verdict:
    return next(v for v in of.verdicts if v.check == check)
