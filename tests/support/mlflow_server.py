"""MLflow's own server on this machine, from an environment of its own, over a database file."""

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from support.clients import environment
from support.ports import free_port


class Server:
    """Can be stopped and started again at the same address, with what it was told."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        # Its pandas is not ours, and the client can do without.
        self.program = environment(f"mlflow-{version}", f"mlflow=={version}") / "python"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [self.program, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}", "--workers", "1"]
        files = ["--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, *store, *files], stdout=log, stderr=log, env=quiet, cwd=self.folder, start_new_session=True
            )
        until = time.monotonic() + 90
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "server.log").read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        """End the server and its workers at once, as a machine that fails would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False
