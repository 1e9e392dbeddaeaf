"""A model small enough to check by hand: how far the value, and the mean of the last rows, lie from the usual."""

import numpy as np

from fulgurite.anomaly.model import Scored


class ZScore:
    """Parts: the distance of the value and of the mean of the last ``window`` rows, in standard deviations."""

    part_names = ("value", "mean")

    def __init__(self, window=5):
        self.window = window
        self.mean = self.spread = None

    def fit(self, series, trainer):
        self.mean, self.spread = float(np.nanmean(series.value)), float(np.nanstd(series.value))

    def score(self, series, memory):
        value = np.concatenate([memory.get("last", np.full(self.window - 1, np.nan)), series.value])
        memory["last"] = value[len(value) - self.window + 1 :]
        means = np.lib.stride_tricks.sliding_window_view(value, self.window).mean(axis=1)
        parts = np.abs(np.column_stack([series.value, means]) - self.mean) / self.spread
        parts[np.isnan(parts).any(axis=1)] = np.nan
        expected = np.full(len(series), self.mean)
        return Scored(parts, expected, expected - 3 * self.spread, expected + 3 * self.spread)

    def state_dict(self):
        return {"window": self.window, "mean": self.mean, "spread": self.spread}

    def load_state_dict(self, state):
        vars(self).update(state)
