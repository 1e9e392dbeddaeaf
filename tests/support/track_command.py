"""`fulgurite ui` as a process, and what it answers."""

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UI = [sys.executable, "-m", "fulgurite", "ui"]


@contextmanager
def started(
    folder: Path | None, *words: str, command: list[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's process and its address, once it has told it."""
    command = command or [*UI, "--data", str(folder), "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate(timeout=10)


def connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)


def get(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    talk = connection(address)
    talk.request("GET", path, headers=headers)
    answer = talk.getresponse()
    return answer.status, answer.read()


def runs_of(address: str, project: str) -> list[dict[str, Any]]:
    """A project's runs as the API tells them; none before the project is there."""
    status, answer = get(address, f"/api/projects/local/{project}/runs")
    return json.loads(answer)["runs"] if status == 200 else []
