"""What may be asked of a checkpoint callback, and together with what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fulgurite.base.cadence import parse_duration
from fulgurite.base.errors import MisconfigurationException


def triggers(steps: int | None, interval: Any, epochs: int | None) -> tuple[int, timedelta | None, int]:
    """Return steps, time and epochs between saves, at most one of them set; every epoch where nothing was asked."""
    if steps is None and interval is None and epochs is None:
        epochs = 1
    if interval is not None:
        interval = parse_duration(interval, "ModelCheckpoint(train_time_interval=...)")
    _check_count("every_n_train_steps", steps)
    _check_count("every_n_epochs", epochs)
    given = {"every_n_train_steps": steps, "every_n_epochs": epochs, "train_time_interval": interval}
    asked = [f"{name}={value!r}" for name, value in given.items() if value is not None and value != 0]
    if len(asked) > 1:
        raise MisconfigurationException(
            f"ModelCheckpoint({', '.join(asked)}): these are mutually exclusive. "
            "Pass one of them, or use one ModelCheckpoint for each."
        )
    return steps or 0, interval, epochs or 0


def check_keeping(monitor: str | None, mode: str, save_top_k: int, save_last: bool | str | None) -> None:
    """Raise `MisconfigurationException` where it is not clear which files stay."""
    if isinstance(save_top_k, bool) or not isinstance(save_top_k, int) or save_top_k < -1:
        raise MisconfigurationException(
            f"ModelCheckpoint(save_top_k={save_top_k!r}): expected -1 (all), 0 (none) or a number to keep."
        )
    if monitor is None and save_top_k not in (-1, 0, 1):
        raise MisconfigurationException(
            f"ModelCheckpoint(save_top_k={save_top_k}, monitor=None): without a metric there are no best "
            f"{save_top_k}. Pass monitor='...', or save_top_k of -1 (all), 0 (none) or 1 (the newest)."
        )
    if mode not in ("min", "max"):
        raise MisconfigurationException(f"ModelCheckpoint(mode={mode!r}): expected 'min' or 'max'.")
    if save_last not in (None, True, False, "link"):
        raise MisconfigurationException(
            f"ModelCheckpoint(save_last={save_last!r}): expected True, False, None or 'link'."
        )


def _check_count(name: str, number: Any) -> None:
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
        raise MisconfigurationException(f"ModelCheckpoint({name}={number!r}): expected an int of 0 or more.")


def check_on_save_error(given: str) -> None:
    """Raise ``MisconfigurationException`` for what is no way to take a save that failed."""
    if given not in ("raise", "warn"):
        raise MisconfigurationException(f"ModelCheckpoint(on_save_error={given!r}): choose 'raise' or 'warn'.")
