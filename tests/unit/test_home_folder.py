"""``~`` is the user's home in every path that is given."""

from fulgurite import Trainer
from fulgurite.loggers import CSVLogger
from fulgurite.testing import QUIET, TinyModule, batches


def test_paths_may_begin_at_home(tmp_path, monkeypatch):
    """The root folder, a logger's folder, and a checkpoint that is written, resumed from and loaded."""
    monkeypatch.setenv("HOME", str(tmp_path))
    trainer = Trainer(
        **{**QUIET, "logger": CSVLogger("~/logs")}, default_root_dir="~/root", max_epochs=1, log_every_n_steps=1
    )
    trainer.fit(TinyModule(), batches(2))
    trainer.save_checkpoint("~/kept/a.ckpt")
    again = Trainer(**QUIET, max_epochs=2)

    again.fit(TinyModule(), batches(2), ckpt_path="~/kept/a.ckpt")

    assert trainer.default_root_dir == str(tmp_path / "root")
    assert (tmp_path / "logs" / "lightning_logs" / "version_0" / "metrics.csv").exists()
    assert again.global_step == 4
    assert isinstance(TinyModule.load_from_checkpoint("~/kept/a.ckpt"), TinyModule)
    assert not (tmp_path / "~").exists()
