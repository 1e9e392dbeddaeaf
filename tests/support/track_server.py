"""A real server on a free port of this machine, and real clients that log to it from processes of their own."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from fulgurite.track.server.app import application
from fulgurite.track.server.serve import listening
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

KEY = "local-" + "k" * 40


class Served:
    """A server over ``store``; ``url`` is its address, ``folder`` where clients work."""

    def __init__(self, store: Store, url: str, folder: Path) -> None:
        self.store, self.url, self.folder = store, url, folder

    def client(
        self,
        script: str,
        python: str = sys.executable,
        check: bool = True,
        name: str = "",
        timeout: float = 120,
        **environment: str,
    ) -> str:
        """Run a script that uses the wandb client, and return what it printed. Fails with its errors if it fails.

        ``name`` is the file to put the script into; without one it is no file.
        """
        text = textwrap.dedent(script)
        if name:
            (self.folder / name).write_text(text)
        done = subprocess.run(
            [python, name] if name else [python, "-c", text],
            env=self.environment(**environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, script: str, python: str = sys.executable, **environment: str) -> subprocess.Popen[str]:
        """Begin to run such a script in a session of its own, and return its process."""
        return subprocess.Popen(
            [python, "-c", textwrap.dedent(script)],
            env=self.environment(**environment),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, *words: str, python: str = sys.executable) -> str:
        """Run ``wandb`` with these words, and return what it printed."""
        done = subprocess.run(
            [python, "-m", "wandb", *words],
            env=self.environment(WANDB_SILENT="false"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        """Send bytes as they are; return the status and the answer, read as JSON where it is JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", body, named), timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The answer to a GraphQL document."""
        _, answer = self.post("/graphql", json.dumps({"query": document, "variables": variables}).encode())
        return answer

    def stream(self, run: str, body: Any, project: str = "p") -> tuple[int, Any]:
        """Send what a run sends while it goes on."""
        path = urllib.parse.quote(f"/files/local/{project}/{run}/file_stream")
        return self.post(path, json.dumps(body).encode())

    def environment(self, **more: str) -> dict[str, str]:
        """What a client's process needs to find this server and nothing of the machine's own settings."""
        server = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
        return {**clean_environment(self.folder), **server, **more}

    def run(self, name: str, project: str = "p", entity: str = "local") -> Run:
        return self.store.runs.find(self.store.runs.project(project, entity), name)


def clean_environment(folder: Path) -> dict[str, str]:
    """An environment in which the client knows nothing of this machine's settings and writes below ``folder`` only."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    places = {name: str(folder / name.lower()) for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")}
    return {**own, **places, "HOME": str(folder), "WANDB_SILENT": "true"}


@contextmanager
def served(folder: Path, port: int = 0, **settings: Any) -> Iterator[Served]:
    """Serve ``folder/data`` until the block ends; ``settings`` are those of `application`."""
    store = Store(folder / "data")
    with listening("127.0.0.1", port) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(application(store, **settings), log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        try:
            yield Served(store, address, folder)
        finally:
            server.should_exit = True
            thread.join(10)
            store.close()
