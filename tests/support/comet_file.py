"""What stands in the files that Comet's client writes offline."""

import json
import zipfile
from pathlib import Path
from typing import Any


class Recorded:
    """One experiment: its ``facts`` and all that was logged."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            self.facts = json.loads(archive.read("experiment.json"))
            lines = archive.read("messages.json").decode().splitlines()
            self._messages = [json.loads(line) for line in lines]
            self.files = {name: archive.read(name) for name in archive.namelist()}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message["payload"] for message in self._messages if message["type"] == kind]

    @property
    def metrics(self) -> list[tuple[str, int, Any, Any]]:
        """(name, step, value, epoch) of each value that was logged."""
        found = [payload["metric"] for payload in self.of("metric_msg")]
        return [(m["metricName"], m.get("step"), m["metricValue"], m.get("epoch")) for m in found
                if m["metricName"] != "process duration"]  # fmt: skip

    @property
    def params(self) -> dict[str, Any]:
        """The last value of each hyperparameter."""
        logged = [payload.get("param") or payload["params"] for payload in self.of("parameter_msg")]
        return {each["paramName"]: each["paramValue"] for each in logged if each["source"] == "manual"}

    @property
    def uploads(self) -> list[dict[str, Any]]:
        return [
            {**payload, "content": self.files[payload["file_path"]]}
            for payload in self.of("file_upload")
            if payload["file_path"] in self.files
        ]


def recorded(folder: Path) -> list[Recorded]:
    return [Recorded(path) for path in sorted(Path(folder).glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)]
