"""From a series to the two tables that the VAE reads: calendar features, a split in time, honest scaling."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pandas.tseries.holiday import AbstractHolidayCalendar, EasterMonday, Holiday, USFederalHolidayCalendar
from torch.utils.data import Dataset

CONTINUOUS = ["value", "hour_min", "gap_holiday", "t"]
CATEGORICAL = ["day_of_week", "holiday"]
UNKNOWN = 0  # the embedding row of a category that the training rows do not hold


class ItalianHolidays(AbstractHolidayCalendar):
    """The public holidays of the country in which WaterFlow was measured."""

    rules = [
        Holiday(f"{month}-{day}", month=month, day=day)
        for month, day in [(1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 8), (12, 25), (12, 26)]
    ] + [EasterMonday]


@dataclass
class Series:
    """One measured value over time (``frame``: columns time and value) and one line on where it comes from."""

    frame: pd.DataFrame
    note: str
    train_share: float = 0.7
    holidays: type[AbstractHolidayCalendar] = USFederalHolidayCalendar


def load_series(path=None) -> Series:
    """The series in the CSV file ``path``; by default river's WaterFlow, or a made-up one where river is missing."""
    if path is not None:
        return read_csv(path)
    try:
        from river.datasets import WaterFlow
    except ImportError:
        return made_up_series()
    flow = read_csv(WaterFlow().path)
    return Series(
        flow.frame,
        "WaterFlow (river): real, 1,268 hourly rows, three known outages; a z-score finds them too: a demonstration, "
        "not evidence. Split in halves, so that one outage lies in the test rows.",
        train_share=0.5,
        holidays=ItalianHolidays,
    )


def read_csv(path) -> Series:
    """Guess the time and the value column, and say so in the note."""
    raw = pd.read_csv(path)
    time_name, value_name = guess_columns(raw, path)
    # Wall-clock time: the calendar that shapes a series is the local one, on both sides of a change of offset.
    words = raw[time_name].astype(str).str.replace(r"(Z|[+-]\d\d:?\d\d)$", "", regex=True)
    frame = pd.DataFrame({"time": pd.to_datetime(words), "value": pd.to_numeric(raw[value_name], errors="coerce")})
    whole = frame.dropna().sort_values("time", kind="stable", ignore_index=True)
    if len(whole) < 20:
        raise ValueError(f"{path} has {len(whole)} rows with a time and a number; at least 20 are needed.")
    note = f"{Path(path).name}: {len(whole):,} rows, time from {time_name!r}, value from {value_name!r}"
    skipped = len(frame) - len(whole)
    return Series(whole, f"{note}, {skipped} incomplete rows left out" if skipped else note)


def guess_columns(raw: pd.DataFrame, path) -> tuple[str, str]:
    named = [name for name in raw if re.search(r"time|date|^ds$", name, re.IGNORECASE)]
    times = named or [name for name in raw if not pd.api.types.is_numeric_dtype(raw[name])]
    values = [name for name in raw if name not in times[:1] and pd.api.types.is_numeric_dtype(raw[name])]
    values.sort(key=lambda name: name.lower() not in ("value", "y"))
    if not times or not values:
        raise ValueError(f"{path} needs a column of times and one of numbers; it has {', '.join(raw)}.")
    return times[0], values[0]


def made_up_series(rows=2000, seed=0) -> Series:
    """Hourly values with a daily and a weekly shape, noise, and a level shift of a day near the end."""
    time = pd.date_range("2024-01-01", periods=rows, freq="h")
    noise = np.random.default_rng(seed).normal(0, 0.3, rows)
    value = 10 + 2 * np.sin(time.hour / 24 * 2 * np.pi) - 1.5 * (time.day_of_week >= 5) + noise
    shifted = value.to_numpy(copy=True)
    shifted[-200:-176] += 8
    return Series(
        pd.DataFrame({"time": time, "value": shifted}),
        f"SYNTHETIC: {rows:,} made-up hourly rows with one level shift, since river is not installed "
        '(pip install "fulgurite[anomaly]") and no --data was given.',
    )


def features(series: Series) -> pd.DataFrame:
    """The value, its place in time, and the row's own number as ``target`` (in the original unit)."""
    time = series.frame["time"]
    days = time.dt.normalize()
    margin = pd.Timedelta(days=366)
    holidays = series.holidays().holidays(days.min() - margin, days.max() + margin)
    return pd.DataFrame(
        {
            "time": time,
            "value": series.frame["value"],
            "hour_min": time.dt.hour + time.dt.minute / 60,
            "gap_holiday": days_to_nearest(days, holidays),
            "t": (time - pd.Timestamp(0)) // pd.Timedelta(seconds=100),
            "day_of_week": time.dt.day_of_week,
            "holiday": days.isin(holidays).astype(int),
            "target": series.frame["value"],
        }
    )


def days_to_nearest(days: pd.Series, holidays: pd.DatetimeIndex) -> np.ndarray:
    """Days since the nearest holiday; negative before it."""
    after = np.searchsorted(holidays, days, side="left").clip(1, len(holidays) - 1)
    gaps = np.stack([(days - holidays[near]).dt.days.to_numpy() for near in (after - 1, after)])
    return np.take_along_axis(gaps, np.abs(gaps).argmin(axis=0, keepdims=True), axis=0)[0]


def write_tables(series: Series, folder: Path) -> list[int]:
    """Write ``train.csv`` and ``test.csv`` and return the number of codes of each category, UNKNOWN included.

    Scaling and codes are fitted on the training rows alone.
    """
    table = features(series)
    cut = int(len(table) * series.train_share)
    seen = table.iloc[:cut]
    scaled = table.astype(dict.fromkeys(CONTINUOUS, float))
    spread = seen[CONTINUOUS].std(ddof=0).replace(0, 1)
    scaled[CONTINUOUS] = (table[CONTINUOUS] - seen[CONTINUOUS].mean()) / spread
    codes = {name: {known: i for i, known in enumerate(sorted(seen[name].unique()), start=1)} for name in CATEGORICAL}
    for name in CATEGORICAL:
        scaled[name] = table[name].map(codes[name]).fillna(UNKNOWN).astype(int)
    folder.mkdir(parents=True, exist_ok=True)
    scaled.iloc[:cut].to_csv(folder / "train.csv", index=False)
    scaled.iloc[cut:].to_csv(folder / "test.csv", index=False)
    return [len(codes[name]) + 1 for name in CATEGORICAL]


class TsDataset(Dataset):
    """The rows of one split (``train``, ``test`` or ``both``) as three tensors: continuous, categorical, target.

    ``lbl_as_feat`` keeps ``value``, the series itself, among the continuous features: what is to be reconstructed.
    """

    def __init__(self, split, data_folder_path, cont_vars=None, cat_vars=None, target_var=None, lbl_as_feat=True):
        super().__init__()
        if split not in ("train", "test", "both"):
            raise ValueError(f"split={split!r}; it is one of 'train', 'test', 'both'.")
        parts = ["train", "test"] if split == "both" else [split]
        self.df = pd.concat([pd.read_csv(Path(data_folder_path) / f"{part}.csv") for part in parts], ignore_index=True)
        others = [name for name in cont_vars or CONTINUOUS if name != "value"]
        self.cont = self._tensor(["value", *others] if lbl_as_feat else others, np.float32)
        self.cat = self._tensor(cat_vars or CATEGORICAL, np.int64)
        self.target = self._tensor(target_var or ["target"], np.float32)

    def _tensor(self, names, dtype):
        return torch.from_numpy(self.df[names].to_numpy(dtype=dtype, copy=True))

    def __getitem__(self, index):
        return self.cont[index], self.cat[index], self.target[index]

    def __len__(self):
        return len(self.df)
