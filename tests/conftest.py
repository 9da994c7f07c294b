"""What the tests share: a store in a temporary folder, our taxonomy and prompts loaded once, one small finished build."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mirsb_build.images.openmoji import OpenMoji
from mirsb_build.prompts import Prompts, load_prompts
from mirsb_build.session import Build, open_build
from mirsb_build.store import Store
from mirsb_build.taxonomy import Taxonomy, load_taxonomy
from tests.factories import finish, order

# Two cores shared by everything: a slow example says nothing of the code, and our function-scoped stores do not mind
# being used by several examples.
settings.register_profile(
    "ours", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("ours")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store of a test lies."""
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(str(folder))


@pytest.fixture
def memory_store() -> Store:
    """A store that is no local folder."""
    return Store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="session")
def prompts() -> Prompts:
    return load_prompts()


@pytest.fixture(scope="session")
def openmoji() -> OpenMoji:
    return OpenMoji()


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a small finished build named `tiny`; tests that change it take `finished` instead."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    finish(folder)
    return folder


@pytest.fixture
def finished(finished_folder: Path, folder: Path) -> Build:
    """A small finished build of one's own, opened again."""
    shutil.copytree(finished_folder, folder)
    return open_build(order(folder))
