"""Who imports whom, and what an import costs. The layers themselves are import-linter's contract in pyproject.toml."""

import json
import subprocess
import sys
from collections.abc import Iterator

import grimp
import networkx
import pytest

NEVER_AT_IMPORT = {
    "comet_ml",
    "fsspec",
    "lightning",
    "lightning_utilities",
    "matplotlib",
    "mlflow",
    "pandas",
    "pytorch_lightning",
    "rich",
    "tensorboard",
    "torchmetrics",
    "tqdm",
    "wandb",
    "yaml",
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("fulgurite", exclude_type_checking_imports=True)


def test_no_module_is_part_of_an_import_cycle(graph):
    """Following imports, however late they happen, never leads back to where one started."""
    modules = networkx.DiGraph(edges(graph))

    assert cycles(modules) == []


def test_no_package_is_part_of_an_import_cycle(graph):
    """Siblings at every depth are ordered: what one package needs of another is never needed back."""
    found = []
    for package in graph.modules:
        siblings = {child: child for child in graph.find_children(package)}
        siblings.update((below, child) for child in siblings.copy() for below in graph.find_descendants(child))
        inside = ((siblings.get(importer), siblings.get(imported)) for importer, imported in edges(graph))
        found += cycles(networkx.DiGraph((a, b) for a, b in inside if a and b and a != b))

    assert found == []


def test_the_public_front_is_imported_by_nobody_inside(graph):
    """`fulgurite/__init__` is for users; inside, a name is imported from where it lives."""
    inside = graph.find_modules_that_directly_import("fulgurite")

    assert {name for name in inside if not name.startswith("fulgurite.compat")} == set()


@pytest.mark.parametrize("statement", ["import fulgurite", "from fulgurite import LightningModule, Trainer"])
def test_the_import_loads_torch_and_nothing_else(statement):
    """Beside torch and the standard library only our own modules are loaded: no dynamo, bars or trackers."""
    extra = modules_after("import torch, torch.utils.data", statement)
    packages = {name.split(".")[0] for name in extra}

    assert packages - {"fulgurite"} - set(sys.stdlib_module_names) <= {"torch"}
    assert packages & NEVER_AT_IMPORT == set()
    assert {name for name in extra if name.startswith(("torch._dynamo", "torch._inductor"))} == set()


def test_the_front_alone_loads_hardly_anything():
    """`import fulgurite` reads the names, not the code behind them."""
    ours = [name for name in modules_after("import torch", "import fulgurite") if name.startswith("fulgurite")]

    assert len(ours) <= 5


ALL_OF_THE_TRACE = """
import importlib, pkgutil
import fulgurite.track as track
for each in pkgutil.walk_packages(track.__path__, track.__name__ + "."):
    importlib.import_module(each.name)
"""


def test_the_trace_needs_no_training(graph):
    """A server without torch keeps and shows runs: no module of the trace loads torch, the trainer or an extra."""
    loaded = modules_after("", ALL_OF_THE_TRACE)
    ours = {name.split(".")[1] for name in loaded if name.startswith("fulgurite.")}

    trace = {"fulgurite.track", *graph.find_descendants("fulgurite.track")}
    assert {name for name in trace if name not in loaded} == set()
    assert ours <= {"base", "track"}
    # A sweep's configuration is YAML; the package comes with Fulgurite.
    assert {name.split(".")[0] for name in loaded} & {"torch", "optuna", "scipy", *NEVER_AT_IMPORT} <= {"yaml"}


@pytest.mark.parametrize("module", ["fulgurite.track", "fulgurite.track.store.store", "fulgurite.track.writer.run"])
def test_the_training_process_loads_little_of_the_trace(module):
    """What a training writes its run with needs nothing of a server's packages."""
    packages = {name.split(".")[0] for name in modules_after("", f"import {module}")}

    assert packages - set(sys.stdlib_module_names) <= {"fulgurite", "numpy"}


def test_the_default_logger_waits_for_the_first_row():
    """Making it loads neither numpy's nor any extra's modules: the store is opened beside the training."""
    loaded = modules_after(
        "import torch, torch.utils.data", "from fulgurite.loggers import TrackLogger; TrackLogger('.')"
    )

    assert {"psutil", "pynvml", "PIL", "numpy"} & {name.split(".")[0] for name in loaded} == set()
    assert "fulgurite.track.store.history" not in loaded


def edges(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            yield importer, imported


def cycles(graph: networkx.DiGraph) -> list[list[str]]:
    return [sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1]


def modules_after(before: str, statement: str) -> list[str]:
    """The modules that ``statement`` loads in a new interpreter in which ``before`` has already run."""
    script = (
        f"import sys\n{before}\nseen = set(sys.modules)\n{statement}\n"
        "import json\nprint(json.dumps(sorted(set(sys.modules) - seen)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)
