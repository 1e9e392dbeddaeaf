"""`wandb verify`: the client's own check of a server that somebody runs himself."""

import re

import pytest

from fulgurite.track.store.store import Store
from support.track_command import started
from support.track_server import Served

NOT_HTTPS = {"Checking requests to base url", "Checking requests made over signed URLs"}
CHECKS = {
    "Checking if logged in",
    "Checking signed URL upload",
    "Checking ability to send large payloads through proxy",
    "Checking CORs configuration of the bucket",
    "Checking wandb package version is up to date",
    "Checking logged metrics, saving and downloading a file",
    "Checking artifact save and download workflows",
    "Checking sweep creation and agent execution",
}


@pytest.mark.slow
def test_the_clients_own_check_of_a_server_passes(tmp_path):
    """All but that the address begins with http: on one machine there is nobody to keep it from."""
    with started(tmp_path / "data") as (_, address):
        store = Store(tmp_path / "data")
        server = Served(store, address, tmp_path)

        said = server.command("verify", "--host", address)

        found = dict(re.findall(r"^(Checking [^.]+)\.{2,}(✅|❌)", said, re.MULTILINE))
        assert found == {**dict.fromkeys(CHECKS, "✅"), **dict.fromkeys(NOT_HTTPS, "❌")}, said
        runs = store.runs.all(store.runs.project("verify"))
        assert len(runs) == 13 and {run.state for run in runs} == {"finished"}
        store.close()
