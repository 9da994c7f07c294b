"""What the tests share: stores in temporary folders, our taxonomy and prompts, one small finished build."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mirsb_build.build import context as opening
from mirsb_build.build import environment
from mirsb_build.build.context import Context, open_context
from mirsb_build.config.prompts import Prompts, load_prompts
from mirsb_build.config.taxonomy import Taxonomy, load_taxonomy
from mirsb_build.images.backends.openmoji.backend import OpenMoji
from mirsb_build.store import Store
from tests.factories import finish, order, run

# Two cores shared by everything: a slow example says nothing of the code, and our function-scoped stores do not mind
# being used by several examples.
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
# `make test` draws the same examples every time; `make explore` draws others, and more. What that finds becomes an
# `@example` of its law.
settings.register_profile("same", deadline=None, suppress_health_check=SLOW, derandomize=True)
settings.register_profile("explore", deadline=None, suppress_health_check=SLOW, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def one_revision_of_the_code() -> Iterator[None]:
    """A release cites the checkout's commit; somebody who commits while the tests run must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "code_revision", lambda: "tests")
        yield


@pytest.fixture(scope="session", autouse=True)
def our_files_read_once(taxonomy: Taxonomy, prompts: Prompts) -> Iterator[None]:
    """Opening a build takes 0.4 s, nearly all of it for reading our own YAML and prompts: here once for all builds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "load_taxonomy", lambda folders: load_taxonomy(folders) if folders else taxonomy)
        patch.setattr(opening, "load_prompts", lambda folders: load_prompts(folders) if folders else prompts)
        yield


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
    """The store of `finished`."""
    return tmp_path_factory.mktemp("finished") / "store"


@pytest.fixture(scope="session")
def finished(finished_folder: Path) -> Context:
    """A small finished build named `tiny`, to be looked at only."""
    return finish(finished_folder)


@pytest.fixture
def finished_copy(finished: Context, finished_folder: Path, folder: Path) -> Context:
    """The same in `folder`, to be changed at will."""
    shutil.copytree(finished_folder, folder)
    build = open_context(order(folder))
    (folder / "builds/tiny/build.json").unlink()
    run(build)  # its build.json now says where it lies
    return build
