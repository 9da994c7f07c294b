"""A small Hugging Face Hub on loopback, for the real `huggingface_hub` and `datasets` clients.

    with serve() as hub:
        hub.accounts["hf_writer"] = Account("writer", writes={"lab"})
        os.environ["HF_ENDPOINT"] = hub.url          # clients also need HF_HUB_DISABLE_XET=1

It keeps data sets in memory, speaks the routes that pushing, listing and downloading use, and refuses what the real
Hub refuses, with the same status and X-Error-Code. `hub.log` has every request in order; `hub.faults` makes it fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

LARGE = re.compile(r"\.(parquet|png|jpg|arrow|bin|zip)$")
"""What the .gitattributes of a new data set keeps in large file storage, in short."""
GITATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class Account:
    """Whom a token belongs to, and the namespaces it may read and write."""

    name: str
    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()

    def sees(self, namespace: str) -> bool:
        return namespace in self.writes | self.reads


@dataclass(frozen=True)
class File:
    """One file of a commit."""

    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def blob_id(self) -> str:
        """Git's name of what git keeps: the content, or the pointer to it."""
        data = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob_id


@dataclass(frozen=True)
class Commit:
    """All files at one moment."""

    oid: str
    message: str
    files: dict[str, File]


@dataclass
class Repo:
    """One data set."""

    id: str
    private: bool
    gated: Literal["manual", "auto", False] = False
    commits: list[Commit] = field(default_factory=list[Commit])
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, message: str, files: dict[str, File]) -> Commit:
        oid = hashlib.sha1(f"{self.id} {len(self.commits)} {message}".encode()).hexdigest()
        self.commits.append(Commit(oid, message, files))
        return self.commits[-1]

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        oid = self.head.oid if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)


@dataclass
class Faults:
    """What goes wrong on purpose."""

    gating_ignored: bool = False
    """PUT settings says yes and does not set the gate."""
    privacy_ignored: bool = False
    """A private data set is asked for and a public one made."""
    not_committed: str = ""
    """A path that commits leave out without a word, as a .gitignore in the repository does."""
    answers: dict[str, int] = field(default_factory=dict[str, int])
    """Status to answer by the last word of the route: create, settings, batch, commit, tag, ..."""


@dataclass
class Hub:
    """The server's state, open to the test."""

    url: str
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    repos: dict[str, Repo] = field(default_factory=dict[str, Repo])
    large: dict[str, bytes] = field(default_factory=dict[str, bytes])
    log: list[str] = field(default_factory=list[str])
    """'METHOD /path status', in the order of the answers."""
    faults: Faults = field(default_factory=Faults)

    def reset(self) -> None:
        """Forget everything but the address."""
        for kept in (self.accounts, self.repos, self.large, self.log):
            kept.clear()
        self.faults = Faults()

    def writes(self) -> list[str]:
        """Requests that change something or send content."""
        harmless = ("GET ", "HEAD ", "OPTIONS ")
        return [line for line in self.log if not line.startswith(harmless) and "/paths-info/" not in line]

    def add_repo(self, repo_id: str, *, private: bool, gated: Literal["manual", "auto", False] = False) -> Repo:
        """A data set as the Hub creates it."""
        repo = self.repos[repo_id] = Repo(repo_id, private, gated)
        repo.add("initial commit", {".gitattributes": File(GITATTRIBUTES, large=False)})
        return repo


class Refusal(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, message: str, code: str = "", **body: object) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message} | ({"X-Error-Code": self.code} if self.code else {})
        return JSONResponse({"error": self.message, **self.body}, self.status, headers=headers)


@contextmanager
def serve() -> Generator[Hub]:
    """Run a Hub on a free port of 127.0.0.1 until the block ends."""
    # With the protocol named, asyncio switches Nagle's algorithm off; without, every POST takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    hub = Hub(f"http://127.0.0.1:{listening.getsockname()[1]}")
    server = uvicorn.Server(uvicorn.Config(_app(hub), log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the loopback Hub did not start")
        time.sleep(0.01)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def _account(hub: Hub, request: Request) -> Account | None:
    """Who asks; None without a token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme != "Bearer" or token not in hub.accounts:
        raise Refusal(401, "Invalid credentials in Authorization header")
    return hub.accounts[token]


def _repo(hub: Hub, request: Request, *, write: bool = False, content: bool = False) -> Repo:
    """The data set of the route, if the asker may see it, change it, or have its files."""
    account = _account(hub, request)
    namespace, name = request.path_params["namespace"], request.path_params["name"]
    repo = hub.repos.get(f"{namespace}/{name}")
    if repo is None or (repo.private and not (account and account.sees(namespace))):
        if account is None:  # the Hub does not tell strangers what is missing and what is private
            raise Refusal(401, "Invalid username or password.")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    if write and not (account and namespace in account.writes):
        raise Refusal(403 if account else 401, "You need write access to this repository")
    if content and repo.gated and not (account and account.sees(namespace)):
        raise Refusal(403 if account else 401, f"Access to dataset {repo.id} is restricted", "GatedRepo")
    return repo


def _commit(repo: Repo, revision: str) -> Commit:
    commit = repo.at(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def _app(hub: Hub) -> FastAPI:
    app = FastAPI(openapi_url=None)
    api = "/api/datasets/{namespace}/{name}"

    @app.middleware("http")
    async def fail_and_log(request: Request, call_next: Any) -> Response:
        path = request.url.path
        word = next((word for word in hub.faults.answers if f"/{word}" in path), None)
        if word:
            who = request.headers.get("authorization")  # as a careless proxy might answer
            response = Refusal(hub.faults.answers[word], f"told to fail at {word} for {who}").response()
        else:
            response = await call_next(request)
        hub.log.append(f"{request.method} {path} {response.status_code}")
        return response

    @app.exception_handler(Refusal)
    async def refuse(_request: Request, refusal: Refusal) -> Response:
        return refusal.response()

    @app.get("/api/whoami-v2")
    async def whoami(request: Request) -> dict[str, object]:
        account = _account(hub, request)
        if account is None:
            raise Refusal(401, "Invalid username or password.")
        orgs = [{"name": name, "roleInOrg": "write"} for name in account.writes]
        return {"type": "user", "name": account.name, "orgs": orgs, "auth": {"accessToken": {"role": "write"}}}

    @app.post("/api/repos/create")
    async def create(request: Request) -> dict[str, str]:
        body = await request.json()
        account = _account(hub, request)
        namespace = body["organization"] or (account.name if account else "")
        if account is None or namespace not in account.writes:
            message = f'You don\'t have the rights to create a dataset under the namespace "{namespace}"'
            raise Refusal(403 if account else 401, message)
        repo_id = f"{namespace}/{body['name']}"
        url = f"{hub.url}/datasets/{repo_id}"
        if repo_id in hub.repos:
            raise Refusal(409, "You already created this dataset repo", url=url)
        private = body.get("visibility") == "private" or body.get("private") is True
        hub.add_repo(repo_id, private=private and not hub.faults.privacy_ignored)
        return {"url": url, "name": repo_id}

    @app.put(api + "/settings")
    async def settings(request: Request) -> dict[str, object]:
        repo, body = _repo(hub, request, write=True), await request.json()
        if "gated" in body and not hub.faults.gating_ignored:
            repo.gated = body["gated"]
        if "visibility" in body and not hub.faults.privacy_ignored:
            repo.private = body["visibility"] == "private"
        return {"private": repo.private, "gated": repo.gated}

    @app.get(api)
    @app.get(api + "/revision/{revision:path}")
    async def info(request: Request, revision: str = "main") -> dict[str, object]:
        repo = _repo(hub, request)
        commit = _commit(repo, revision)
        return {
            "id": repo.id,
            "author": repo.id.split("/")[0],
            "sha": commit.oid,
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }

    @app.get(api + "/refs")
    async def refs(request: Request) -> dict[str, object]:
        repo = _repo(hub, request)
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()]
        return {"branches": [main], "converts": [], "tags": tags}

    @app.post(api + "/tag/{revision:path}")
    async def tag(request: Request, revision: str) -> dict[str, object]:
        repo, name = _repo(hub, request, write=True), (await request.json())["tag"]
        if name in repo.tags:
            raise Refusal(409, f"Tag reference exists already: {name}")
        repo.tags[name] = _commit(repo, revision).oid
        return {"tag": name}

    _add_reading(app, hub, api)
    _add_writing(app, hub, api)
    return app


def _entry(path: str, file: File) -> dict[str, object]:
    lfs = {"oid": file.sha256, "size": len(file.data), "pointerSize": len(file.pointer)}
    entry: dict[str, object] = {"type": "file", "oid": file.blob_id, "size": len(file.data), "path": path}
    return entry | ({"lfs": lfs} if file.large else {})


def _folder(path: str) -> dict[str, object]:
    return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}


def _folders(files: dict[str, File]) -> set[str]:
    """Every folder that holds a file, at any depth."""
    parts = [path.split("/")[:-1] for path in files]
    return {"/".join(part[: depth + 1]) for part in parts for depth in range(len(part))}


def _add_reading(app: FastAPI, hub: Hub, api: str) -> None:
    @app.get(api + "/tree/{revision}")
    @app.get(api + "/tree/{revision}/{path:path}")
    async def tree(request: Request, revision: str, path: str = "", recursive: bool = False) -> list[dict[str, object]]:
        files = _commit(_repo(hub, request), revision).files
        if path and path not in _folders(files):
            raise Refusal(404, f"{path} does not exist on {revision!r}", "EntryNotFound")
        below = f"{path}/" if path else ""
        entries = [_folder(p) for p in sorted(_folders(files))] + [_entry(p, f) for p, f in sorted(files.items())]
        entries = [entry for entry in entries if str(entry["path"]).startswith(below)]
        return [entry for entry in entries if recursive or "/" not in str(entry["path"])[len(below) :]]

    @app.post(api + "/paths-info/{revision}")
    async def paths_info(request: Request, revision: str) -> list[dict[str, object]]:
        files = _commit(_repo(hub, request), revision).files
        paths = [str(path) for path in (await request.form()).getlist("paths")]
        folders = [_folder(path) for path in paths if path in _folders(files)]
        return folders + [_entry(path, files[path]) for path in paths if path in files]

    @app.api_route("/datasets/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(request: Request, revision: str, path: str) -> Response:
        commit = _commit(_repo(hub, request, content=True), revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            refusal = Refusal(404, "Entry not found", "EntryNotFound").response()
            refusal.headers.update(headers)
            return refusal
        file = commit.files[path]
        headers["ETag"] = f'"{file.etag}"'
        if file.large:
            headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.data))}
        data, status = file.data, 200
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if wanted and any(wanted.groups()):
            first, last = wanted.groups()
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(int(last), len(data) - 1) if first and last else len(data) - 1
            if start > end:
                return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        return Response(data, status, headers, "application/octet-stream")


def _add_writing(app: FastAPI, hub: Hub, api: str) -> None:
    signature = secrets.token_hex(8)

    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> dict[str, object]:
        content = (await request.json())["content"]
        header = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        try:
            good = header is None or isinstance(yaml.safe_load(header[1]), dict)
        except yaml.YAMLError:
            good = False
        if not good:
            raise Refusal(400, "Invalid metadata", errors=[{"message": "YAML is not valid"}], warnings=[])
        return {"errors": [], "warnings": []}

    @app.post(api + "/preupload/{revision:path}")
    async def preupload(request: Request, revision: str) -> dict[str, object]:
        held = _commit(_repo(hub, request, write=True), revision).files
        asked = (await request.json())["files"]
        files: list[dict[str, object]] = []
        for file in asked:
            path = file["path"]
            mode = "lfs" if LARGE.search(path) or file["size"] > 10 << 20 else "regular"
            answer: dict[str, object] = {
                "path": path,
                "uploadMode": mode,
                "shouldIgnore": path == hub.faults.not_committed,
            }
            files.append(answer | {"oid": held[path].etag if path in held else None})
        return {"files": files}

    @app.post("/datasets/{namespace}/{name}.git/info/lfs/objects/batch")
    async def batch(request: Request) -> dict[str, object]:
        _repo(hub, request, write=True)
        objects: list[dict[str, object]] = []
        for item in (await request.json())["objects"]:
            where = f"{hub.url}/large/{item['oid']}"
            actions = {"upload": {"href": f"{where}?signature={signature}"}, "verify": {"href": f"{where}/verify"}}
            objects.append(item | ({} if item["oid"] in hub.large else {"actions": actions}))
        return {"transfer": "basic", "objects": objects}

    @app.put("/large/{oid}")
    async def upload(request: Request, oid: str) -> dict[str, object]:
        data = await request.body()
        if request.query_params.get("signature") != signature:
            raise Refusal(403, "the address was not signed by this Hub")
        if hashlib.sha256(data).hexdigest() != oid:
            raise Refusal(400, "the content is not that of its name")
        hub.large[oid] = data
        return {}

    @app.post("/large/{oid}/verify")
    async def verify(request: Request, oid: str) -> dict[str, object]:
        if _account(hub, request) is None or len(hub.large.get(oid, b"")) != (await request.json())["size"]:
            raise Refusal(404, "no such object")
        return {}

    @app.post(api + "/commit/{revision:path}")
    async def commit(request: Request, revision: str) -> dict[str, object]:
        repo = _repo(hub, request, write=True)
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        head = lines[0]["value"]
        if head.get("parentCommit") not in (None, repo.head.oid):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(_commit(repo, revision).files)
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            path = value["path"]
            if key == "file":
                files[path] = File(base64.b64decode(value["content"]), large=False)
            elif key == "lfsFile" and value["oid"] in hub.large:
                files[path] = File(hub.large[value["oid"]], large=True)
            elif key == "deletedFile" and path in files:
                del files[path]
            else:
                raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        made = repo.add(head["summary"], files)
        return {
            "success": True,
            "commitOid": made.oid,
            "commitUrl": f"{hub.url}/datasets/{repo.id}/commit/{made.oid}",
            "hookOutput": "",
        }
