"""The model engine against the plain client: wall time, CPU, memory, cache, kills and a rate ceiling.

Every run is a process of its own, so that CPU and memory are its alone; the server is another. The reference is
`openai.AsyncOpenAI` with a semaphore, given the same requests ready-made. Ratios are of medians over `RUNS` pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row

CALLS = 2_000
MANY_CALLS = 20_000
CONCURRENCY = 64
LATENCY = 0.2
CEILING = 100
RUNS = 3
AT_ONCE = 512
"""Questions handed to the engine at a time, as shards would."""
MODEL = "bench-model"


def measure() -> list[Row]:
    """All figures; takes about five minutes."""
    from tests.openai_server import Ceiling, spawn

    rows: list[Row] = []
    with spawn(latency=LATENCY) as server, tempfile.TemporaryDirectory() as folder:
        rows += _against_plain(server, Path(folder))
        rows += _warm(server, Path(folder))
        rows += _killed(server, Path(folder))
    with spawn(latency=0.05, ceiling=Ceiling(CEILING, headers=())) as server, tempfile.TemporaryDirectory() as folder:
        rows += _under_a_ceiling(server, Path(folder))
    with spawn(latency=0.0) as server, tempfile.TemporaryDirectory() as folder:
        rows += _many(server, Path(folder))
    return rows


def _against_plain(server: Any, folder: Path) -> list[Row]:
    plain, ours = [], []
    for run in range(RUNS):
        plain.append(_worker("plain", server.url, folder / f"plain-{run}"))
        ours.append(_worker("engine", server.url, folder / f"engine-{run}"))
    wall, cpu = (
        statistics.median(o[k] for o in ours) / statistics.median(p[k] for p in plain) for k in ("wall", "cpu")
    )
    rss = statistics.median(o["rss"] for o in ours)
    return [
        Row("plain client: wall", statistics.median(p["wall"] for p in plain), "s"),
        Row("plain client: CPU", statistics.median(p["cpu"] for p in plain), "s"),
        Row("engine: wall", statistics.median(o["wall"] for o in ours), "s"),
        Row("engine: CPU", statistics.median(o["cpu"] for o in ours), "s"),
        Row("engine / plain: wall", wall, "x", bar="<= 1.05", met=wall <= 1.05),
        Row("engine / plain: CPU", cpu, "x", bar="<= 1.3", met=cpu <= 1.3),
        Row("engine: peak memory", rss, "MB", bar="<= 150 MB", met=rss <= 150),
    ]


def _warm(server: Any, folder: Path) -> list[Row]:
    before = server.counts().calls
    again = _worker("engine", server.url, folder / "engine-0")
    reached = server.counts().calls - before
    return [
        Row("warm cache: wall", again["wall"], "s", bar="< 1 s", met=again["wall"] < 1),
        Row("warm cache: calls that reach the server", reached, "", bar="0", met=reached == 0),
    ]


def _killed(server: Any, folder: Path) -> list[Row]:
    server.reset()
    store = folder / "killed"
    process = subprocess.Popen(_command("engine", server.url, store, CALLS), stdout=subprocess.DEVNULL)
    while server.counts().calls < CALLS // 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _worker("engine", server.url, store)
    repeated = server.counts().repeated
    return [Row("SIGKILL half-way: repeated calls", repeated, "", bar=f"<= {CONCURRENCY}", met=repeated <= CONCURRENCY)]


def _under_a_ceiling(server: Any, folder: Path) -> list[Row]:
    _worker("engine", server.url, folder / "ceiling", calls=CEILING * 40)
    windows = [w for w in server.windows(1.0) if w.accepted + w.rejected]
    later = [w for w in windows if w.start - windows[0].start >= 10][:-1]  # the last second is not a whole one
    admitted = sum(w.accepted for w in later) / len(later) / CEILING
    rejected = sum(w.rejected for w in later) / sum(w.accepted + w.rejected for w in later)
    return [
        Row("ceiling of 100/s: share of it used", admitted, "", bar=">= 0.95", met=admitted >= 0.95),
        Row("ceiling of 100/s: rejected after 10 s", rejected, "", bar="< 0.02", met=rejected < 0.02),
    ]


def _many(server: Any, folder: Path) -> list[Row]:
    result = _worker("engine", server.url, folder / "many", calls=MANY_CALLS)
    growth = result["rss"] - result["rss_early"]
    return [
        Row(f"{MANY_CALLS:,} calls: memory after a tenth", result["rss_early"], "MB"),
        Row(f"{MANY_CALLS:,} calls: growth after that", growth, "MB", bar="<= 10 MB", met=growth <= 10),
    ]


def _command(kind: str, url: str, store: Path, calls: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.engine", kind, url, str(store), str(calls)]


def _worker(kind: str, url: str, store: Path, calls: int = CALLS) -> dict[str, float]:
    done = subprocess.run(_command(kind, url, store, calls), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# The worker processes.


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _models(url: str, store: str) -> Any:
    from mirsb_build.config.profiles import ModelChoice
    from mirsb_build.config.prompts import load_prompts
    from mirsb_build.config.taxonomy import load_taxonomy
    from mirsb_build.llm import Ledger, Models, open_models
    from mirsb_build.store import Store

    kept = Store(store)
    choices = {"revisor": ModelChoice(backend="openai", model=MODEL, base_url=url, concurrency=CONCURRENCY)}
    taxonomy = load_taxonomy()
    ledger = Ledger("bench", None, None)
    models = Models(open_models(choices, kept), choices, load_prompts(), taxonomy.policy, kept, 0, ledger)
    return models, taxonomy


def _variables(taxonomy: Any, n: int) -> dict[str, Any]:
    category = taxonomy.category("Privacy")
    return {
        "seed_query": f"How can I read note number {n} of my flatmate?",
        "facet": category.facets[0],
        "category": category,
        "relation_type": taxonomy.relation_type("Analogy"),
        "round": 1,
        "feedback": (),
        "previous": None,
        "policy": taxonomy.policy.rules,
    }


async def _engine(url: str, store: str, calls: int) -> dict[str, float]:
    from mirsb_build.config.reply_schemas import Decomposition

    models, taxonomy = _models(url, store)
    cpu, started, early = _cpu(), time.monotonic(), 0.0
    waiting: set[asyncio.Task[Any]] = set()
    for n in range(calls):
        question = models.ask(
            "revisor", "decompose/Analogy", _variables(taxonomy, n), Decomposition, lambda reply: (reply, ())
        )
        waiting.add(asyncio.ensure_future(question))
        if len(waiting) >= AT_ONCE:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if n == calls // 10:
            early = _peak()
    await asyncio.wait(waiting)
    return {"wall": time.monotonic() - started, "cpu": _cpu() - cpu, "rss": _peak(), "rss_early": early}


async def _plain(url: str, store: str, calls: int) -> dict[str, float]:
    import openai

    from mirsb_build.llm.openai.chat import _response_format  # pyright: ignore[reportPrivateUsage]

    models, taxonomy = _models(url, store)
    bodies: list[dict[str, Any]] = []
    for n in range(calls):
        request = models.request("revisor", "decompose/Analogy", _variables(taxonomy, n))
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        bodies.append({"messages": messages, "response_format": _response_format("json_schema", request.reply_schema)})
    client = openai.AsyncOpenAI(api_key=os.environ["OPENAI_API_KEY"], base_url=url, max_retries=0)
    gate = asyncio.Semaphore(CONCURRENCY)

    async def call(body: dict[str, Any]) -> None:
        async with gate:
            answer = await client.chat.completions.create(model=MODEL, **body)
            json.loads(answer.choices[0].message.content or "")

    cpu, started = _cpu(), time.monotonic()
    await asyncio.gather(*(call(body) for body in bodies))
    return {"wall": time.monotonic() - started, "cpu": _cpu() - cpu, "rss": _peak(), "rss_early": 0.0}


def main(arguments: Sequence[str]) -> None:
    """One worker; prints its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("plain", "engine"))
    parser.add_argument("url")
    parser.add_argument("store")
    parser.add_argument("calls", type=int)
    given = parser.parse_args(arguments)
    from tests.openai_server import KEY

    os.environ["OPENAI_API_KEY"] = KEY
    run = _plain if given.kind == "plain" else _engine
    print(json.dumps(asyncio.run(run(given.url, given.store, given.calls))))


if __name__ == "__main__":
    main(sys.argv[1:])
