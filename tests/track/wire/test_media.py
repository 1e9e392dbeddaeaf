"""Media of every kind that the real client has: what a row says of them is there, and so is each file that it names."""

import hashlib
import json
import urllib.request
from urllib.parse import urlencode

import pytest

SCRIPT = """
import json
from pathlib import Path

import numpy as np
import torch
import wandb
from PIL import Image

pixels = np.zeros((8, 8, 3), dtype=np.uint8)
boxes = {"pred": {"box_data": [{"position": {"minX": 1, "maxX": 3, "minY": 1, "maxY": 3}, "class_id": 1,
                                "domain": "pixel", "scores": {"p": 0.5}}], "class_labels": {1: "cat"}}}
masks = {"pred": {"mask_data": np.ones((8, 8), dtype=np.uint8), "class_labels": {1: "dog"}}}
Path("sound.wav").write_bytes(b"a sound")
Image.new("RGB", (8, 8)).save("film.gif")
Path("cube.obj").write_text("v 0 0 0")
Path("molecule.pdb").write_text("ATOM")
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))

with wandb.init(project="media", id="m") as run:
    run.watch(model, torch.nn.functional.mse_loss, log="all", log_freq=1, log_graph=True)
    for _ in range(2):
        model(torch.ones(3, 2)).sum().backward()
        run.log({"loss": 1.0})
    run.log({
        "histogram": wandb.Histogram([1.0, 2.0, float(3)], num_bins=4),
        "image": wandb.Image(pixels, caption="ü", boxes=boxes, masks=masks),
        "images": [wandb.Image(pixels + i, caption=str(i)) for i in range(3)],
        "deep": {"image": wandb.Image(pixels + 9)},
        "html": wandb.Html("<b>x</b>"),
        "points": wandb.Object3D(np.zeros((5, 3))),
        "object": wandb.Object3D("cube.obj"),
        "molecule": wandb.Molecule("molecule.pdb"),
        "audio": wandb.Audio("sound.wav", caption="noise"),
        "video": wandb.Video("film.gif"),
        "table": wandb.Table(["a", "picture"], data=[[1, wandb.Image(pixels + 1)], [2, wandb.Image(pixels)]]),
        "line": wandb.plot.line(wandb.Table(columns=["x", "y"], data=[[0, 1], [1, 2]]), "x", "y"),
        "curve": wandb.plot.pr_curve([0, 1], np.array([[0.9, 0.1], [0.2, 0.8]])),
        "confused": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 0]),
    })
    run.log({"HT%3ML ü": wandb.Html("<i>y</i>")})
    run.log({"table": wandb.Table(["a", "picture"], data=[[1, wandb.Image(pixels + 1)], [2, wandb.Image(pixels)]])})
    folder = run.dir

def files(place):
    return {str(path.relative_to(place)): path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}

import hashlib
print("LEFT", json.dumps({name: hashlib.md5(content).hexdigest() for name, content in files(folder).items()
                          if name.startswith("media/")}))
run = wandb.Api().run("local/media/m")
row = next(row for row in run.scan_history() if "image" in row)
run.file(row["video"]["path"]).download("back", replace=True)
print("BACK", Path("back", row["video"]["path"]).read_bytes() == Path("film.gif").read_bytes())
"""


@pytest.fixture(scope="module")
def said(server):
    return server.client(SCRIPT)


@pytest.fixture(scope="module")
def row(server, said):
    return next(row for row in server.store.history.rows(server.run("m", "media").id) if "image" in row)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("histogram", "histogram"),
        ("image", "image-file"),
        ("images", "images/separated"),
        ("html", "html-file"),
        ("points", "object3D-file"),
        ("object", "object3D-file"),
        ("molecule", "molecule-file"),
        ("audio", "audio-file"),
        ("video", "video-file"),
        ("table", "table-file"),
    ],
)
def test_a_row_says_what_was_logged(row, key, kind):
    assert row[key]["_type"] == kind


def test_boxes_masks_and_captions_are_with_the_image(row):
    assert row["image"]["caption"] == "ü" and row["images"]["captions"] == ["0", "1", "2"]
    assert row["image"]["boxes"]["pred"]["_type"] == "boxes2D" and row["image"]["masks"]["pred"]["_type"] == "mask"
    assert row["deep"]["image"]["_type"] == "image-file"


def test_every_file_of_the_media_arrives_as_it_is(server, said):
    """All that the client left in the run's folder, byte by byte, and it can be had back."""
    left = json.loads(said.split("LEFT ")[1].splitlines()[0])
    run, blobs = server.run("m", "media"), server.store.blobs
    kept = {
        file.name: hashlib.md5(blobs.path(file.blob.sha256).read_bytes()).hexdigest() for file in blobs.files(run.id)
    }

    assert {name: kept.get(name) for name in left} == left
    kinds = {name.split("/")[1] for name in left}
    assert kinds >= {"images", "html", "object3D", "molecule", "audio", "videos", "table"}
    assert "BACK True" in said


def test_charts_of_the_clients_own_say_how_they_are_drawn(server, said):
    """`wandb.plot` logs a table, and tells in the configuration which chart shows it."""
    run = server.run("m", "media")
    charts = run.facts["_wandb"]["visualize"]
    assert charts.keys() == {"line", "curve", "confused"}
    assert {f"{name}_table" for name in charts} <= server.store.history.keys(run.id).keys()


def test_watched_weights_gradients_and_graph_arrive(server, said):
    """`run.watch(log="all", log_graph=True)`."""
    run = server.run("m", "media")
    keys = server.store.history.keys(run.id).keys()
    assert {f"{kind}/{name}" for kind in ("gradients", "parameters") for name in ("0.weight", "1.bias")} <= keys
    names = {file.name for file in server.store.blobs.files(run.id)}
    assert run.summary["graph_0"]["_type"] == "graph-file" and run.summary["graph_0"]["path"] in names


def test_pictures_in_a_table_are_found(server, said):
    """Each time that it is logged: the second time, with the same content, the client makes no new version."""
    rows = [row for row in server.store.history.rows(server.run("m", "media").id) if "table" in row]
    assert len(rows) == 2
    for row in rows:
        asked = urlencode({"name": row["table"]["path"], "artifact": row["table"]["artifact_path"]})
        page = json.loads(get(server, f"/api/projects/local/media/runs/m/tables?{asked}"))

        assert page["artifact"] == {"type": "run_table", "name": "run-m-table", "version": "v0"}
        assert [cell[0] for cell in page["rows"]] == [1, 2]
        for _, picture in page["rows"]:
            asked = urlencode({"name": picture["path"]})
            content = get(server, f"/api/projects/local/media/artifacts/run_table/run-m-table/v0/file?{asked}")
            assert hashlib.sha256(content).hexdigest() == picture["sha256"]


def get(server, path):
    with urllib.request.urlopen(server.url + path) as answer:
        return answer.read()
