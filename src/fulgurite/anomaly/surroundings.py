"""How unlike training the rows on both sides of a row are: what rows are ranked by once all of them are there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fulgurite.anomaly.series import Series
from fulgurite.anomaly.terms import FINEST, SMALLEST_SCALE, nearest, unfolded
from fulgurite.anomaly.tides import Scale, Tides

WIDTHS = (1, 2, 4)  # in windows of the model: what goes wrong is shorter than a period, or longer
REFERENCES = 1000
BATCH = 1024
QUANTILE = 0.99


class Surroundings:
    """How far the windows around a row are from the nearest ones in the training rows.

    There are windows of one, two and four times the model's ``window``, but none longer than a third of the training
    rows. They are of values as the model reads them, scaled by ``scale`` and filled by ``tides``, but ``unfolds`` takes
    the logarithms off their tails. Distances are those of windows that end with a row, so that rows may come in pieces;
    `centred` then moves them to the windows' middles.
    """

    def __init__(self, scale: Scale, tides: Tides, names: tuple[str, ...], window: int, unfolds: bool = True) -> None:
        self.scale, self.tides, self.names, self.window, self.unfolds = scale, tides, names, window, unfolds
        self.widths: tuple[int, ...] = ()
        self.references: tuple[Tensor, ...] = ()
        self.scales = np.ones((0, len(names)))

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(f"{name}_surroundings" for name in self.names)

    def fit(self, series: Series) -> "Surroundings":
        """Take windows that end at rows with a number as references, evenly drawn."""
        whole, values = np.flatnonzero(np.isfinite(series.value)), self._filled(series)
        widths = [times * self.window for times in WIDTHS]
        self.widths = tuple(width for width in widths if width in (self.window, min(width, len(whole) // 3)))
        self.references = tuple(_shape(_windows(values, width)[_drawn(whole, width)]) for width in self.widths)
        self.scales = np.ones((len(self.widths), len(self.names)))
        return self

    def calibrate(self, distances: np.ndarray) -> None:
        """Take the 0.99 quantiles of ``distances`` (n, widths, c), best of rows not learned from, as their scales."""
        known = distances[np.isfinite(distances).all(axis=(1, 2))]
        if len(known):
            self.scales = np.maximum(np.quantile(known, QUANTILE, axis=0), SMALLEST_SCALE)

    @torch.inference_mode()
    def distances(self, series: Series, memory: dict[str, Any]) -> np.ndarray:
        """The distances (n, widths, c) of windows that end with each row; NaN where one is not full.

        The rows follow those of ``memory``, which has them then.
        """
        values, rows = self._filled(series), len(series)
        if memory:
            values = np.concatenate([memory["values"], values])
        memory["values"] = values[-(self.widths[-1] - 1) :].copy()
        found = np.full((rows, len(self.widths), len(self.names)), np.nan)
        for place, (width, references) in enumerate(zip(self.widths, self.references, strict=True)):
            windows = _windows(values, width)[-rows:]
            for start in range(0, len(windows), BATCH):
                batch = windows[start : start + BATCH]
                first = rows - len(windows) + start
                found[first : first + len(batch), place] = nearest(_shape(batch), references).T.numpy()
        return found

    def parts(self, distances: np.ndarray) -> np.ndarray:
        """The parts (n, c) of the columns; a width that is unknown counts as the others do, NaN where all are."""
        known = np.isfinite(distances)
        sizes = np.where(known, self.sizes(distances), 0.0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return sizes / known.mean(axis=1)

    def sizes(self, distances: np.ndarray) -> np.ndarray:
        """How strange the windows of each width are by themselves, (n, widths, c)."""
        return np.log1p(distances / self.scales)

    def centred(self, distances: np.ndarray) -> np.ndarray:
        """The distances of the windows that have each row in their middle; near the ends, of the nearest full one."""
        moved = np.full_like(distances, np.nan)
        for place, width in enumerate(self.widths):
            known = np.flatnonzero(np.isfinite(distances[:, place]).all(axis=1))
            if len(known):
                ends = np.clip(np.arange(len(distances)) + width // 2, known[0], known[-1])
                moved[:, place] = distances[ends, place]
        return moved

    def _filled(self, series: Series) -> np.ndarray:
        filled = self.tides.fill(self.scale(series.values), series)
        return unfolded(torch.from_numpy(filled)).numpy() if self.unfolds else filled

    # -- the state --

    def state_dict(self) -> dict[str, Any]:
        return {
            "scale": self.scale.state_dict(),
            "tides": self.tides.state_dict(),
            "names": list(self.names),
            "window": self.window,
            "unfolds": self.unfolds,
            "widths": list(self.widths),
            "references": list(self.references),
            "scales": self.scales.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Surroundings":
        scale, tides = Scale.from_state(state["scale"]), Tides.from_state(state["tides"])
        # A file from before format 3 has windows with the logarithms.
        found = cls(scale, tides, tuple(state["names"]), state["window"], state.get("unfolds", False))
        found.widths, found.references = tuple(state["widths"]), tuple(state["references"])
        found.scales = np.array(state["scales"], np.float64)
        return found


def _drawn(whole: np.ndarray, width: int) -> np.ndarray:
    """The places of windows, at most `REFERENCES` of them, that end at rows which are among ``whole``."""
    ends = whole[whole >= width - 1]
    return ends[np.linspace(0, len(ends) - 1, min(REFERENCES, len(ends))).astype(int)] - width + 1


def _windows(values: np.ndarray, width: int) -> Tensor:
    """The windows (m, c, w) that end at the rows of ``values`` (n, c), as far as they are full."""
    rows = torch.from_numpy(values).float()
    return rows.unfold(0, width, 1) if len(rows) >= width else rows.new_zeros(0, rows.shape[1], width)


def _shape(windows: Tensor) -> Tensor:
    """The windows (n, c, w) in at most `FINEST` points, (c, n, p), so that distances are those of a mean row."""
    coarse = -(-windows.shape[2] // FINEST)
    points = windows.shape[2] // coarse
    latest = windows[:, :, -points * coarse :]
    return latest.unflatten(2, (points, coarse)).mean(dim=3).transpose(0, 1).contiguous() / points**0.5
