"""Artifacts of the real client: logged, found, used and got back whole."""

LOG_AND_DOWNLOAD = """
import wandb
from pathlib import Path

Path("things").mkdir(exist_ok=True)
Path("things/a.txt").write_text("first")
Path("things/ü b%c.txt").write_text("second")
with wandb.init(project="thin", id="made") as run:
    artifact = wandb.Artifact("things", "dataset", description="some things", metadata={"rows": 2, "of": {"x": [1]}})
    artifact.add_dir("things")
    logged = run.log_artifact(artifact, aliases=["best"]).wait()
    print(logged.name, logged.aliases, logged.size, logged.file_count, logged.state)
with wandb.init(project="thin", id="uses") as run:
    used = run.use_artifact("things:best")
    folder = Path(used.download())
    print(sorted((str(p.relative_to(folder)), p.read_text()) for p in folder.rglob("*") if p.is_file()))
    used.verify()
    print(used.description, used.metadata, used.version, [r.id for r in used.used_by()], used.logged_by().id)
"""


def test_an_artifact_comes_back_whole(server):
    """Files with any name, words and aliases are there; the runs that made and used it are known."""
    printed = server.client(LOG_AND_DOWNLOAD).splitlines()

    assert printed[0] == "things:v0 ['latest', 'best'] 11 2 COMMITTED"
    assert printed[1] == "[('a.txt', 'first'), ('ü b%c.txt', 'second')]"
    assert printed[2] == "some things {'rows': 2, 'of': {'x': [1]}} v0 ['uses'] made"
