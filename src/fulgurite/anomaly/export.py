"""A model's network for other programs, and beside it, as JSON, all that is needed around it."""

import importlib.metadata
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fulgurite.anomaly.detector import AnomalyDetector
from fulgurite.anomaly.ranking import TIMES
from fulgurite.anomaly.scorer import Scorer
from fulgurite.anomaly.seed import SeedModel
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.window import WindowModel
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write

FORMATS = ("torch", "onnx")
ROWS = 8  # of the example; any number but 0 and 1, which export would take for fixed

CODES = "the places of words in preparation.vocabularies, counted from 1; 0 is unknown"
SEED_INPUTS = {
    "continuous": "float32 (rows, columns): preparation.scaling.names in that order; an empty cell is the median; less "
    "the mean, over the spread",
    "categorical": f"int64 (rows, columns): {CODES}",
}
WINDOW_INPUTS = {
    "windows": "float32 (rows, columns, window): the last rows, the row itself at the end; numbers less the median, "
    "over half, a size s beyond 3 as 3 + log(s - 2); an empty cell as tides.profile has it",
    "before": "float32 (rows, columns): the mean of up to 4 windows of such rows before the window's later half",
    "usual": "float32 (rows, columns): preparation.tides.profile at place 2 * hour, plus 1 at weekends if weekly",
    "broken": "float32 (rows, columns): 1 where one of the last four rows was empty, else 0",
    "conditions": "float32 (rows, numbers): preparation.calendar of the row: sine and cosine of the turn of day and "
    "week, and whether it is a holiday",
    "codes": f"int64 (rows, columns): {CODES}",
}
OUTPUTS = {
    "parts": "float32 (rows, parts): they sum to the raw score; what each is called stands in parts",
    "expected": "float32 (rows, columns): the row as it was expected, scaled as the input is",
}


class SeedNetwork(nn.Module):
    """The document's VAE, from a row to the parts of its loss."""

    def __init__(self, model: SeedModel) -> None:
        super().__init__()
        assert model.module is not None
        self.vae = model.module

    def forward(self, continuous: Tensor, categorical: Tensor) -> tuple[Tensor, Tensor]:
        parts, rebuilt = self.vae.judge((continuous, categorical))
        return parts, rebuilt


@dataclass(frozen=True)
class Exportable:
    """A network in evaluation mode, and what each of its inputs is."""

    network: nn.Module
    inputs: Mapping[str, str]

    @classmethod
    def of(cls, model: Any) -> "Exportable":
        if isinstance(model, SeedModel):
            return cls(SeedNetwork(model).eval(), SEED_INPUTS)
        if isinstance(model, WindowModel):
            assert model.terms is not None
            return cls(model.terms.eval(), WINDOW_INPUTS)
        raise MisconfigurationException(f"{type(model).__name__} is no model that is known how to export.")


def inputs_of(detector: AnomalyDetector, series: Series) -> tuple[Tensor, ...]:
    """What the network is given for the rows of a series, which begin anew: one item for each row it can judge."""
    model = detector.model_
    if isinstance(model, SeedModel):
        return model.table(series).tensors[:2]
    assert isinstance(model, WindowModel)
    return tuple(vars(model.reading(series, {})).values())


def export(detector: AnomalyDetector, out: str | os.PathLike[str], form: str = "torch") -> list[Path]:
    """Write the network to ``out``, by torch.export or as ONNX, and what is needed around it to ``out`` + ``.json``.

    The number of rows is free. Returns the paths of both files.
    """
    if form not in FORMATS:
        raise MisconfigurationException(f"format={form!r} is not known. Give {' or '.join(FORMATS)}.")
    exportable, path = Exportable.of(detector.model_), Path(out)
    beside = path.with_name(f"{path.name}.json")
    about = json.dumps(_about(detector, exportable, path.name, form), indent=1, ensure_ascii=False)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "network.onnx" if form == "onnx" else "network.pt2")
        _WRITERS[form](exportable, _example(detector), made, about)
        for target, content in ((path, made.read_bytes()), (beside, about.encode() + b"\n")):
            with atomic_write(target) as file:
                file.write(content)
    return [path, beside]


def _example(detector: AnomalyDetector) -> tuple[Tensor, ...]:
    """Inputs of the right shapes; what is in them does not matter."""
    model = detector.model_
    if isinstance(model, SeedModel):
        assert model.scaling is not None
        numbers, codes = (torch.zeros(ROWS, len(each)) for each in (model.scaling.names, model.vocabularies))
        return numbers, codes.long()
    assert isinstance(model, WindowModel) and model.window is not None
    columns, size = len(model.columns), (ROWS, len(model.columns))
    plain = [torch.zeros(size) for _ in ("before", "usual", "broken")]
    conditions, codes = torch.zeros(ROWS, len(model.calendar)), torch.zeros(ROWS, len(model.vocabularies))
    return torch.zeros(ROWS, columns, model.window), *plain, conditions, codes.long()


def _with_torch(exportable: Exportable, example: tuple[Tensor, ...], path: Path, about: str) -> None:
    program = torch.export.export(exportable.network, example, dynamic_shapes=_free_rows(exportable))
    torch.export.save(program, path, extra_files={"metadata.json": about})


def _with_onnx(exportable: Exportable, example: tuple[Tensor, ...], path: Path, about: str) -> None:
    require("onnx", "onnx")
    require("onnxscript", "onnx")
    names: dict[str, Any] = {"input_names": list(exportable.inputs), "output_names": list(OUTPUTS)}
    with _quietly():
        program = torch.onnx.export(
            exportable.network, example, dynamo=True, dynamic_shapes=_free_rows(exportable), verbose=False, **names
        )
    assert program is not None
    program.save(str(path))


_WRITERS = {"torch": _with_torch, "onnx": _with_onnx}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's words on packages that are not needed, and on its own inside."""
    said = logging.getLogger("torch.onnx")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        said.setLevel(level)


def _free_rows(exportable: Exportable) -> tuple[dict[int, Any], ...]:
    # torch 2.6 leaves the largest whole number itself out of a range that has no end.
    rows = torch.export.Dim("rows", min=1, max=2**31 - 1)
    return tuple({0: rows} for _ in exportable.inputs)


def _score(scorer: Scorer) -> str:
    """What the score is, in words."""
    if scorer.past is None:
        return "the sum of parts"
    measured = "the sum of parts, measured by its past"
    if scorer.hindsight is not None:
        return f"{measured}; what ranks rows offline is not in the network"
    if scorer.ranking is None:
        return measured
    return (
        f"{measured}, is a row's own score; rows are ranked by it where it is above {scorer.least:g}, or by "
        f"1/{TIMES:g} of the sum of the parts at ranking.places, measured by ranking.past, if that is more"
    )


def _about(detector: AnomalyDetector, exportable: Exportable, name: str, form: str) -> dict[str, Any]:
    model, threshold, past = detector.model_, detector.threshold_, detector._scorer.past
    ranking = detector._scorer.ranking
    state = {key: value for key, value in model.state_dict().items() if key not in ("weights", "terms")}
    return {
        "fulgurite": importlib.metadata.version("fulgurite"),
        "network": {"file": name, "format": form, "inputs": dict(exportable.inputs), "outputs": OUTPUTS},
        "model": detector.model,
        "parts": list(model.part_names),
        "schema": detector.schema_.state_dict(),
        "preparation": state,
        "score": _score(detector._scorer),
        "past": None if past is None else past.state_dict(),
        "ranking": None if ranking is None else ranking.state_dict(),
        "lasting": detector._scorer.lasting.rows,
        "threshold": {"rule": str(threshold), "level": threshold.level, "told": threshold.explain()},
        "refractory": detector.refractory_,
    }
