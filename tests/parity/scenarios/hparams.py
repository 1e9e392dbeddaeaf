"""What ``save_hyperparameters`` collects, stores and gives back."""

from pathlib import Path
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, batches, plain

SCENARIOS = Scenarios()


@SCENARIOS
def hyper_parameters(pl, folder):
    """What ``save_hyperparameters`` collects, shows and stores."""

    class Module(pl.LightningModule):
        def training_step(self, batch, batch_idx):
            return self.net.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), lr=0.1)

    class Everything(Module):
        def __init__(self, width=3, name="x", *args, flag=True, **rest):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters()

    class Child(Everything):
        def __init__(self, extra=1, **rest):
            super().__init__(width=extra, **rest)
            self.save_hyperparameters()

    class Chosen(Module):
        def __init__(self, width=3, depth=4, path=None):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters("width", "path")

    class Ignoring(Module):
        def __init__(self, width=3, depth=4, secret="s"):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters(ignore=["secret"])

    class Wholly(Module):
        def __init__(self, config):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters(config)

    class Changed(Module):
        def __init__(self, width=3):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters()
            self.hparams.width = 9
            self.hparams.added = 2

    class Silent(Module):
        def __init__(self, width=3):
            super().__init__()
            self.net = torch.nn.Linear(1, 1)
            self.save_hyperparameters(logger=False)

    made = {
        "everything": Everything(5, "y", 7, flag=False, more=1.5),
        "child": Child(extra=2, note="n"),
        "chosen": Chosen(path=Path("some/where")),
        "ignoring": Ignoring(depth=8),
        "wholly": Wholly({"a": 1, "b": {"c": [1, 2]}}),
        "changed": Changed(),
        "silent": Silent(),
        "none": Bench(pl, folder).Tiny(),
    }
    return {
        name: _hyper_parameters_of(Bench(pl, folder), module, folder / f"{name}.ckpt") for name, module in made.items()
    }


def _hyper_parameters_of(bench: Bench, module: Any, path: Path) -> dict[str, Any]:
    trainer = bench.trainer()
    trainer.fit(module, batches(1))
    trainer.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=False)
    stored = checkpoint.get("hyper_parameters")
    return {
        "hparams": plain(dict(module.hparams)),
        "initial": plain(dict(module.hparams_initial)),
        "stored": None if stored is None else plain(dict(stored)),
        "type": type(stored).__name__,
        "name": checkpoint.get("hparams_name"),
        "keys": sorted(key for key in checkpoint if "hparams" in key or "hyper" in key),
        "logger": bench.logger.calls,
    }


@SCENARIOS
def load_from_checkpoint(pl, folder):
    """Hyperparameters rebuild the module; keyword arguments override them."""

    class Sized(pl.LightningModule):
        def __init__(self, width=3, note="a"):
            super().__init__()
            self.save_hyperparameters()
            self.net = torch.nn.Linear(width, 1)

        def training_step(self, batch, batch_idx):
            return self.net.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_load_checkpoint(self, checkpoint):
            self.seen = sorted(checkpoint)

    torch.manual_seed(0)
    bench = Bench(pl, folder)
    trainer = bench.trainer()
    module = Sized(width=5)
    trainer.fit(module, batches(2))
    trainer.save_checkpoint(folder / "one.ckpt")
    again = Sized.load_from_checkpoint(folder / "one.ckpt")
    noted = Sized.load_from_checkpoint(folder / "one.ckpt", note="b")
    return {
        "equal": torch.equal(module.net.weight, again.net.weight),
        "hparams": [dict(again.hparams), dict(noted.hparams)],
        "weights": plain(again.net.weight.flatten()),
        "training": again.training,
        "seen": again.seen,
    }
