"""Names of checkpoint files."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.callbacks import ModelCheckpoint
from fulgurite.callbacks.naming import fill, has_placeholders

CASES = [
    (None, {"epoch": 1, "step": 2}, "epoch=1-step=2.ckpt"),
    ("", {"epoch": 1, "step": 2}, "epoch=1-step=2.ckpt"),
    ("{epoch:02d}-{val_loss:.2f}", {"epoch": 1, "val_loss": torch.tensor(0.123)}, "epoch=01-val_loss=0.12.ckpt"),
    ("{missing:.3f}-{epoch}", {"epoch": 1}, "missing=0.000-epoch=1.ckpt"),
    ("sub/{m/x:.2f}", {"m/x": 1.5}, "sub/m/x=1.50.ckpt"),
    ("plain", {}, "plain.ckpt"),
    ("{a}{b}", {"a": 3, "b": 2}, "a=3b=2.ckpt"),
    ("{a}-{ab}", {"a": 1, "ab": 3}, "a=1-ab=3.ckpt"),
    ("{epoch}-{epoch:03d}", {"epoch": 1}, "epoch=1-epoch=001.ckpt"),
    ("{a:03d}", {"a": torch.tensor(4)}, "a=004.ckpt"),
    ("{val.loss:.1f}-{val[0]}", {"val.loss": 3.0, "val[0]": 2}, "val.loss=3.0-val[0]=2.ckpt"),
]


@pytest.mark.parametrize(("template", "metrics", "name"), CASES)
def test_templates_are_filled(template, metrics, name):
    """Formats hold, missing metrics count as 0, slashes make folders."""
    assert ModelCheckpoint(filename=template).format_checkpoint_name(metrics) == name


def test_version_prefix_and_folder():
    """A version comes last, a prefix first, and the folder is the callback's."""
    callback = ModelCheckpoint(dirpath="/kept", filename="{epoch}")

    assert callback.format_checkpoint_name({"epoch": 3}, ver=4) == "/kept/epoch=3-v4.ckpt"
    assert callback.format_checkpoint_name({"epoch": 3}, prefix="pre") == "/kept/pre-epoch=3.ckpt"
    assert callback.format_checkpoint_name({"epoch": 3}, "{epoch:02d}x") == "/kept/epoch=03x.ckpt"


def test_metric_names_can_be_left_out():
    """Without inserted names, slashes in a metric's name make no folders."""
    callback = ModelCheckpoint(filename="loss={m/x:.2f}", auto_insert_metric_name=False)

    assert callback.format_checkpoint_name({"m/x": 1.5}) == "loss=1.50.ckpt"


def test_the_signs_belong_to_the_class():
    """Subclasses choose their own joints, extension and first version."""

    class Own(ModelCheckpoint):
        CHECKPOINT_JOIN_CHAR, CHECKPOINT_EQUALS_CHAR, FILE_EXTENSION = "_", "~", ".pt"

    assert Own().format_checkpoint_name({"epoch": 1, "step": 2}, ver=5) == "epoch~1_step~2_v5.pt"


@pytest.mark.parametrize("template", ["{}", "{{a}}", "{a", "a}", "{a:d}", "{a:nonsense}"])
def test_a_template_that_cannot_work_is_named(template):
    """Stray braces and formats that do not fit the value raise, with the template in the message."""
    with pytest.raises(ValueError, match="filename="):
        fill(template, {"a": 0.5})


@given(st.dictionaries(st.from_regex(r"[a-z_/.]{1,8}", fullmatch=True), st.integers(-(10**6), 10**6), min_size=1))
def test_every_metric_finds_its_place(metrics):
    """Whatever the metrics are called, each placeholder becomes its name and value, in order."""
    template = "-".join(f"{{{name}}}" for name in metrics)

    assert fill(template, metrics) == "-".join(f"{name}={value}" for name, value in metrics.items())
    assert has_placeholders(template) and not has_placeholders("plain")
