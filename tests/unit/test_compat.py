"""Lightning's names mean Fulgurite's objects while the aliases are installed, and only then."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import pickle
import subprocess
import sys

import pytest

import fulgurite
from fulgurite import compat
from fulgurite.base.rank import rank_zero_only
from fulgurite.compat.table import TABLE

ROOTS = ("pytorch_lightning", "lightning", "lightning_fabric")


def lightnings_modules():
    return [name for name in sys.modules if name.partition(".")[0] in ROOTS]


@pytest.fixture
def aliases():
    """Aliases, in a process that may have imported Lightning for another test."""
    real = {name: sys.modules.pop(name) for name in lightnings_modules()}
    compat.install()
    yield
    compat.uninstall()
    assert lightnings_modules() == []
    sys.modules.update(real)


@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning", "lightning.pytorch"])
@pytest.mark.parametrize("name", ["Trainer", "LightningModule", "LightningDataModule", "Callback", "seed_everything"])
def test_the_same_object_under_every_name(aliases, package, name):
    """A class imported under one name is the class of the other names, so they mix freely."""
    assert getattr(importlib.import_module(package), name) is getattr(fulgurite, name)


def test_sub_packages_are_there_without_importing_them(aliases):
    """`L.pytorch.callbacks...` works after `import lightning as L` alone."""
    import lightning as L

    assert L.pytorch.callbacks.model_checkpoint.ModelCheckpoint is fulgurite.callbacks.ModelCheckpoint
    assert L.fabric.utilities.rank_zero.rank_zero_only is rank_zero_only


def test_every_form_of_import_works(aliases):
    """`import a.b as c`, `from a.b import c`, `from a import b` and importlib give the same modules and objects."""
    import pytorch_lightning.callbacks as c
    from lightning.pytorch.utilities.rank_zero import rank_zero_only as ours
    from pytorch_lightning import callbacks

    assert c is callbacks is importlib.import_module("pytorch_lightning.callbacks")
    assert ours is rank_zero_only
    assert c.EarlyStopping is fulgurite.callbacks.EarlyStopping


def test_a_star_import_brings_what_is_there(aliases):
    """`from pytorch_lightning import *` brings the five public names."""
    names = {}
    exec("from pytorch_lightning import *", names)

    assert names["Trainer"] is fulgurite.Trainer
    assert {"Callback", "LightningDataModule", "LightningModule", "seed_everything"} <= names.keys()


@pytest.mark.parametrize(
    "line",
    [
        "from pytorch_lightning.strategies import XLAStrategy",
        "import lightning.pytorch.plugins.precision.deepspeed",
        "from lightning import Fabric",
    ],
)
def test_what_is_missing_is_named(aliases, line):
    """An import of something that Fulgurite does not have says what, and where to read on."""
    wanted = line.replace(" import ", ".").split()[-1].split("precision.")[-1].split("strategies.")[-1]

    with pytest.raises(ImportError, match=rf"Fulgurite.* does not have '.*{wanted}' \(yet\)\..*COMPAT\.md"):
        exec(line)


def test_a_misspelt_name_gets_the_nearest(aliases):
    """A typing error is told apart from a missing feature."""
    with pytest.raises(ImportError, match="Did you mean 'ModelCheckpoint'"):
        exec("from lightning.pytorch.callbacks import ModelCheckpont")


def test_probes_behave(aliases):
    """`hasattr` answers instead of raising, and tools that look at every module are not disturbed."""
    import pytorch_lightning as pl

    assert not hasattr(pl, "Foo")
    assert not hasattr(pl, "__wrapped__")
    assert hasattr(pl, "__path__")
    assert "Trainer" in dir(pl)
    assert "callbacks" in dir(pl)
    assert inspect.getmodule(fulgurite.Trainer) is sys.modules["fulgurite.trainer"]
    assert importlib.util.find_spec("pytorch_lightning").origin == "fulgurite.compat"


def test_the_version_is_that_of_the_behaviour(aliases):
    """Scripts compare `pl.__version__` with a number."""
    from packaging.version import Version

    assert Version("2.6") <= Version(importlib.import_module("pytorch_lightning").__version__) < Version("2.7")
    assert importlib.import_module("lightning").__version__ == compat.VERSION


def test_metadata_of_installed_packages_is_untouched(aliases):
    """Only imports are redirected: what pip knows about Lightning stays true."""
    try:
        version = importlib.metadata.version("lightning")
    except importlib.metadata.PackageNotFoundError:
        version = None

    assert version != compat.VERSION


def test_pickles_name_fulgurite(aliases):
    """An object made through an alias loads where there is no alias."""
    from pytorch_lightning.callbacks import ModelCheckpoint

    data = pickle.dumps(ModelCheckpoint(monitor="x"))
    compat.uninstall()

    assert pickle.loads(data).monitor == "x"
    assert b"lightning" not in data.replace(b"lightning_logs", b"")


def test_installing_twice_and_uninstalling_leaves_nothing():
    """The finder is there once, and the old modules are gone afterwards."""
    real = {name: sys.modules.pop(name) for name in lightnings_modules()}
    before = list(sys.meta_path)
    compat.install()
    compat.install()
    assert len(sys.meta_path) == len(before) + 1
    importlib.import_module("lightning.pytorch")
    compat.uninstall()
    compat.uninstall()

    assert sys.meta_path == before
    assert lightnings_modules() == []
    sys.modules.update(real)


def test_lightning_that_is_already_imported_is_an_error():
    """Two class trees in one process would mix, so `install` refuses and says what to do."""
    program = (
        "import sys, types; sys.modules['pytorch_lightning'] = types.ModuleType('pytorch_lightning')\n"
        "import fulgurite.compat; fulgurite.compat.install()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 1
    assert "MisconfigurationException: 'pytorch_lightning' is already imported" in done.stderr
    assert "fulgurite run" in done.stderr


def test_installing_loads_no_torch():
    """Spawned workers install the aliases at their start, so it must be cheap."""
    program = "import sys, fulgurite.compat as c; c.install(); import lightning.pytorch; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("package", ["callbacks", "loggers", "plugins", "precision", "profilers", "strategies"])
def test_nothing_of_ours_is_left_out(aliases, package):
    """Whatever a public package of ours offers is there under Lightning's name of it."""
    ours = importlib.import_module(f"fulgurite.{package}")
    old = importlib.import_module("lightning.pytorch." + {"precision": "plugins.precision"}.get(package, package))

    assert ours.__all__
    assert all(getattr(old, name) is getattr(ours, name) for name in ours.__all__)


def test_the_table_is_true(aliases):
    """Every name of the table is there, or is said not to be there yet; no lookup ends otherwise."""
    for module, names in TABLE.items():
        alias = importlib.import_module(module)
        assert all(getattr(alias, name, compat) is not None for name in names)
        assert set(alias.__all__) <= names.keys()


@pytest.mark.parametrize(
    "path",
    [
        "callbacks.progress.rich_progress.RichProgressBarTheme",
        "core.mixins.HyperparametersMixin",
        "core.optimizer.LightningOptimizer",
        "plugins.precision.MixedPrecision",
        "strategies.SingleDeviceStrategy",
        "trainer.states.RunningStage",
        "utilities.CombinedLoader",
        "utilities.exceptions.MisconfigurationException",
        "utilities.model_summary.ModelSummary",
        "utilities.parsing.AttributeDict",
        "utilities.seed.isolate_rng",
        "utilities.types.LRSchedulerConfig",
        "utilities.types.STEP_OUTPUT",
    ],
)
def test_what_scripts_commonly_import_is_there(aliases, path):
    """Names that third-party code imports from the depths."""
    module, _, name = f"lightning.pytorch.{path}".rpartition(".")

    assert getattr(importlib.import_module(module), name) is not None


def test_grad_norm_is_lightnings(aliases):
    """Keys and values as Lightning's `grad_norm` gives them."""
    import torch
    from pytorch_lightning.utilities import grad_norm

    layer = torch.nn.Linear(2, 1)
    layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    norms = grad_norm(layer, norm_type=2)

    assert {name: round(float(value), 4) for name, value in norms.items()} == {
        "grad_2.0_norm/weight": 5.0,
        "grad_2.0_norm/bias": 1.0,
        "grad_2.0_norm_total": round(26**0.5, 4),
    }
    with pytest.raises(ValueError, match="norm_type=0"):
        grad_norm(layer, 0)


def test_is_overridden_sees_own_methods_only(aliases):
    """A hook counts as overridden when the user's class brings its own."""
    from pytorch_lightning.utilities.model_helpers import is_overridden

    class Mine(fulgurite.LightningModule):
        def training_step(self, batch, batch_idx):
            return None

    assert is_overridden("training_step", Mine())
    assert not is_overridden("on_fit_start", Mine())
    assert not is_overridden("no_such_hook", Mine())


def test_shared_parameters_are_found_by_name(aliases):
    """Tied weights are listed together."""
    import torch
    from pytorch_lightning.utilities import find_shared_parameters

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[1].weight = model[0].weight

    assert find_shared_parameters(model) == [["0.weight", "1.weight"]]
