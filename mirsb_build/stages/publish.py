"""Stage 7: a release of what people accepted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio import to_thread

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.errors import ReleaseError
from mirsb_build.images import Images
from mirsb_build.records import Instance, MadeWith, Release, content_hash, hash_each
from mirsb_build.release import Releases, write_release
from mirsb_build.stages import Stage
from mirsb_build.store import Store


class Publish(Stage[Instance, Release]):
    """Write the accepted instances as a data set directory below the build (one release a content).

    Takes instances, returns the one release. The same content is the same release, also after a kill in the middle;
    other content gets the next version. Raises ReleaseError when nothing was accepted.
    """

    name = "publish"
    returns = Release
    version = "1"

    def __init__(self, store: Store, build: str, images: Images, choice: ReleaseChoice, made_with: MadeWith) -> None:
        self._releases = Releases(store, build)
        self._build = build
        self._images = images
        self._choice = choice
        self._made_with = made_with

    def key(self, records: Sequence[Instance]) -> str:
        return content_hash(
            self.name,
            self.version,
            self._choice.model_dump(),
            self._made_with.model_dump(exclude={"code_revision"}),  # a commit alone makes no other release
            hash_each(r.model_dump(mode="json") for r in records),
        )

    async def run(self, records: Sequence[Instance]) -> list[Release]:
        accepted = [instance for instance in records if instance.outcome == "accepted"]
        if not accepted:
            raise ReleaseError(f"build {self._build}: nothing was accepted, so there is nothing to publish")
        return [await to_thread.run_sync(self._publish, accepted)]

    def intact(self, results: Sequence[Release]) -> bool:
        """Whether every file of the release is there in its length."""
        found = {release.manifest.version: release for release in self._releases.all()}
        return all(r.version in found and not found[r.version].missing() for r in results)

    def _publish(self, accepted: Sequence[Instance]) -> Release:
        with TemporaryDirectory(prefix="mirsb-release-") as name:
            folder = Path(name)
            earlier = [release.manifest for release in self._releases.all()]
            draft = write_release(
                folder, accepted, self._images.read, self._build, self._choice, self._made_with, earlier
            )
            return self._releases.keep(folder, draft)
