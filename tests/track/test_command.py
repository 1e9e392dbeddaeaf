"""`fulgurite ui` as a process: how it starts, what it says, and how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fulgurite.track.store.store import Store
from fulgurite.track.wire.addresses import Addresses
from support.ports import free_port
from support.track_command import UI, connection, get, runs_of, started
from support.track_server import clean_environment


def failed(*words):
    """What a command that can't do its work says, and its exit code."""
    done = subprocess.run([*UI, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_it_starts_with_an_empty_folder(tmp_path):
    """From the command to the first answer. How long that takes is measured by `benchmarks/ui.py`."""
    with started(tmp_path / "new") as (_, address):
        assert get(address, "/api/projects") == (200, b'{"projects":[]}')


def test_it_loads_nothing_of_the_training(tmp_path):
    """No torch, and none of what only the Trainer needs."""
    script = """
import sys
from fulgurite.track.server.serve import serve
from fulgurite.track import command
loaded = {name.split(".")[0] for name in sys.modules} | {name for name in sys.modules if name.startswith("fulgurite.")}
print({"torch", "pandas", "plotly", "fulgurite.core", "fulgurite.trainer"} & loaded or "nothing")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "nothing"


ONLY = """
import importlib.metadata as metadata, re, sys
from importlib.abc import MetaPathFinder

def needed(name, extras, found):
    found.add(name)
    for line in metadata.requires(name) or []:
        wanted = re.match(r"[\\w.-]+", line)[0].lower().replace("_", "-")
        extra = re.search(r"extra == .(\\w+)", line)
        if (extra is None or extra[1] in extras) and wanted not in {*found, "torch"}:
            try:
                needed(wanted, set(), found)
            except metadata.PackageNotFoundError:
                pass  # for another system
    return found

there = needed("fulgurite", {"track"}, set())
homes = metadata.packages_distributions()

class Others(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        homes_of = {home.lower().replace("_", "-") for home in homes.get(name, [])}
        if homes_of and not homes_of & there:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Others())
for gone in ("torch", "pandas", "wandb", "optuna"):
    try:
        __import__(gone)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{gone} is still there")
from fulgurite.cli import main
sys.exit(main())
"""


def test_it_works_with_the_packages_of_its_extra_alone(tmp_path):
    """`pip install fulgurite[track]`, and not even torch: pages, the API and the client's requests are answered."""
    words = ["ui", "--data", str(tmp_path / "data"), "--no-browser"]
    with started(None, command=[sys.executable, "-c", ONLY, *words]) as (_, address):
        line = json.dumps({"_step": 0, "loss": 0.5})
        sent = {"files": {"wandb-history.jsonl": {"offset": 0, "content": [line]}}, "complete": True, "exitcode": 0}
        talk = connection(address)
        talk.request("POST", "/files/local/p/abc/file_stream", json.dumps(sent))
        assert talk.getresponse().status == 200

        assert [run["state"] for run in runs_of(address, "p")] == ["finished"]
        for path in ("/", "/local/p/runs/abc", "/static/plotly.min.js"):
            assert get(address, path, Accept="text/html")[0] == 200


def test_it_says_how_a_client_gets_there(tmp_path):
    """Two lines to be copied; the key is one that the client takes."""
    with started(tmp_path / "data") as (process, address):
        said = "".join(process.stdout.readline() for _ in range(3))

    assert f"WANDB_BASE_URL={address}\n" in said
    key = re.search(r"WANDB_API_KEY=([\w-]+)\n", said)[1]
    assert len(key.partition("-")[2]) >= 40


def test_a_folder_to_show_that_is_not_there_is_told(tmp_path):
    """It may come later, so that is no mistake; but who mistyped it would wait for its runs."""
    (tmp_path / "file").write_text("")
    (tmp_path / "there").mkdir()
    words = [str(tmp_path / name) for name in ("there", "nope", "file")]
    with started(tmp_path / "data", *words) as (process, address):
        assert get(address, "/api/projects")[0] == 200
        process.terminate()
        told = process.stderr.read().splitlines()

    assert told == [
        f"There is no folder {tmp_path / name}; its runs are shown as soon as there is." for name in ("nope", "file")
    ]


def test_it_calls_nobody(tmp_path):
    """No connection is opened and no name is looked up, whatever is asked of it: Python itself watches for that."""
    watch = (
        "import sys; sys.addaudithook(lambda event, given: (event in ('socket.connect', 'socket.gethostbyname') or "
        "event == 'socket.getaddrinfo' and given[0] != '127.0.0.1') and print(event, given, file=sys.stderr)); "
        "from fulgurite.cli import main; sys.exit(main())"
    )
    words = ["ui", "--data", str(tmp_path / "data"), "--no-browser"]
    with started(None, command=[sys.executable, "-c", watch, *words]) as (process, address):
        for path in ("/", "/api/projects", "/static/plotly.min.js", "/api/session", "/nothing"):
            get(address, path, Accept="text/html")
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        said = process.stderr.read()

    assert said == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order(tmp_path, number):
    """At once when nothing is to be done, without a traceback, and with success."""
    with started(tmp_path / "data") as (process, address):
        get(address, "/api/projects")
        process.send_signal(number)
        code = process.wait(10)
        complaints = process.stderr.read()

    assert (code, complaints) == (0, "")


def test_what_is_on_its_way_at_the_end_arrives(tmp_path):
    """An upload that has begun is finished after Ctrl-C, and kept."""
    with started(tmp_path / "data") as (process, address):
        store = Store(tmp_path / "data")
        run, _ = store.runs.open(store.runs.project("p", create=True), "abc")
        secret = (tmp_path / "data" / "secret").read_bytes()
        target = Addresses(secret, address).upload(run=run.id, name="half.bin")
        talk = connection(address)
        talk.putrequest("PUT", target.removeprefix(address))
        talk.putheader("Content-Length", "6")
        talk.endheaders(b"abc")
        time.sleep(0.3)

        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        talk.send(b"def")

        assert talk.getresponse().status == 200
        assert process.wait(10) == 0
    assert store.blobs.path(store.blobs.file(run.id, "half.bin").blob.sha256).read_bytes() == b"abcdef"
    store.close()


def test_a_used_port_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

        code, said = failed("--data", str(tmp_path), "--port", port, "--no-browser")

    assert code == 2
    assert said == (
        f"fulgurite ui: Another program listens at port {port} of 127.0.0.1 already. Name another one with --port, or "
        "leave it out: the next free one from 7007 on is taken.\n"
    )


def test_without_a_port_the_next_free_one_is_taken(tmp_path):
    with started(tmp_path / "a") as (_, first), started(tmp_path / "b") as (_, second):
        assert first != second
        assert get(first, "/api/projects")[0] == get(second, "/api/projects")[0] == 200


@pytest.mark.parametrize(
    "words", [["--port", "0"], ["--port", "x"], ["--port", "70000"], ["--host", "no.such.host.invalid"]]
)
def test_what_cannot_be_listened_at_is_told(tmp_path, words):
    code, said = failed("--data", str(tmp_path), "--no-browser", *words)

    assert code == 2
    assert words[1] in said and "Traceback" not in said


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    code, said = failed("--data", str(tmp_path / "file"), "--no-browser", "--port", str(free_port()))

    assert code == 2
    assert str(tmp_path / "file") in said and "--data" in said and "Traceback" not in said


def test_a_missing_package_names_the_extra():
    script = "import sys; sys.modules['uvicorn'] = None; from fulgurite.cli import main; sys.exit(main(['ui']))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert 'pip install "fulgurite[track]"' in done.stderr and "Traceback" not in done.stderr


def test_beyond_this_machine_it_demands_keys_and_says_so(tmp_path):
    """Also when nobody has one yet: then it says how to make the first."""
    port = str(free_port())
    with started(tmp_path / "data", "--host", "0.0.0.0", "--port", port) as (process, address):
        said = "".join(process.stdout.readline() for _ in range(6))

        assert "a key is demanded" in said and "fulgurite ui keys add NAME" in said and "YOUR_KEY" in said
        assert get(address, "/api/projects")[0] == 401
        made = subprocess.run(
            [*UI, "keys", "add", "ada", "--data", str(tmp_path / "data")], capture_output=True, text=True, check=True
        )
        key = made.stdout.strip()
        assert get(address, "/api/session", Authorization=f"Bearer {key}")[0] == 200


def test_behind_a_proxy_it_demands_keys(tmp_path):
    """Whoever the proxy lets through would else be the owner."""
    with started(tmp_path / "data", "--allow-host", "runs.example.org") as (_, address):
        assert get(address, "/api/projects", Host="runs.example.org")[0] == 401
        assert get(address, "/api/projects", Host="other.example.org")[0] == 403


def test_keys_are_made_listed_and_revoked(tmp_path):
    """A key is printed alone, so that it can be piped on; afterwards it is seen nowhere."""
    folder = ["--data", str(tmp_path / "data")]

    def keys(*words):
        return subprocess.run([*UI, "keys", *words, *folder], capture_output=True, text=True, timeout=60)

    made = keys("add", "ada", "--role", "reader")
    listed = keys("list")
    assert re.fullmatch(r"fulgurite-[0-9a-f]{48}\n", made.stdout)
    assert listed.stdout.split("\t")[:2] == ["ada", "reader"] and made.stdout.strip() not in listed.stdout
    assert keys("add", "ada").returncode == 2
    assert keys("revoke", "ada").returncode == 0
    assert keys("list").stdout == ""
    assert "nobody" in keys("revoke", "ada").stderr


def test_two_servers_may_show_one_folder(tmp_path):
    """They take the same addresses: the secret that signs them was made once."""
    with started(tmp_path / "data") as (_, first), started(tmp_path / "data") as (_, second):
        body = json.dumps({"query": 'mutation { upsertModel(input: {name: "made"}) { model { name } } }'})
        talk = connection(first)
        talk.request("POST", "/graphql", body)
        assert talk.getresponse().status == 200

        assert b'"made"' in get(second, "/api/projects")[1]


def test_offline_runs_appear_by_themselves(tmp_path):
    """A logger without account or settings, in some folder; the server, in another one. Nobody says where to look."""
    script = """
from fulgurite.loggers import WandbLogger

logger = WandbLogger(name="no set-up")
logger.log_metrics({"loss": 0.25}, step=3)
import wandb; wandb.finish()
"""
    (tmp_path / "work").mkdir()
    environment = {**clean_environment(tmp_path), "FULGURITE_DIR": str(tmp_path / "data")}
    environment.pop("WANDB_MODE", None)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "work", env=environment, check=True, timeout=120)

    with started(tmp_path / "data") as (_, address):
        deadline = time.monotonic() + 60
        while not (runs := runs_of(address, "lightning_logs")) or runs[0]["state"] != "finished":
            assert time.monotonic() < deadline, runs
            time.sleep(0.1)

    assert [(run["display_name"], run["summary"]["loss"], run["source"]) for run in runs] == [
        ("no set-up", 0.25, "wandb offline")
    ]


SEED = Path(__file__).resolve().parents[2] / "examples" / "seed" / "train.py"


@pytest.mark.slow
def test_the_documents_program_is_seen_without_any_set_up(tmp_path):
    """It is run as it stands, then `fulgurite ui`: its run is there with what it logged, printed and kept."""
    pytest.importorskip("pandas")
    (tmp_path / "work").mkdir()
    environment = {**clean_environment(tmp_path), "FULGURITE_DIR": str(tmp_path / "data"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(SEED), "--epochs", "2", "--out", "out"]
    subprocess.run(words, cwd=tmp_path / "work", env=environment, check=True, timeout=250, capture_output=True)

    with started(tmp_path / "data") as (_, address):
        deadline = time.monotonic() + 60
        while not (runs := runs_of(address, "VAE_Anomaly")) or runs[0]["state"] != "finished":
            assert time.monotonic() < deadline, runs
            time.sleep(0.1)
        (run,) = runs
        place = f"/api/projects/local/VAE_Anomaly/runs/{run['name']}"
        told = json.loads(get(address, place)[1])
        keys = {each["key"] for each in json.loads(get(address, f"{place}/keys")[1])["keys"]}
        files = {each["name"].partition("_")[0] for each in json.loads(get(address, f"{place}/files")[1])["files"]}

    assert told["config"]["latent_dim"] == 16 and told["facts"]["program"] == str(SEED)
    assert {"total_loss", "recon_loss", "kld", "test_loss", "trainer/global_step", "flagged_rows"} <= keys
    assert told["summary"]["test_loss"] > 0 and told["console_lines"] > 5
    assert {"media/table/flagged", "output.log", "requirements.txt"} <= files
