"""Rows on their way to the loggers."""

from typing import Any

from fulgurite.metrics import scalars
from fulgurite.runtime.session import Session


def write_row(
    session: Session, row: dict[str, Any], step: int | None = None, with_epoch: bool = True
) -> dict[str, float]:
    """Send ``row`` to every logger and return it as floats. An empty row is not sent.

    The x-axis is ``step`` or the count of closed windows; a value that the user logged as "step" or "epoch" wins.
    """
    if not row:
        return {}
    session.board.logged.update(row)
    values = scalars(row)
    if session.loggers and session.strategy.is_global_zero:
        sent = dict(values)
        given = sent.pop("step", None)
        if given is None:
            given = session.progress.batches_that_stepped if step is None else step
            if with_epoch:
                sent.setdefault("epoch", session.progress.epoch)
        for logger in session.loggers:
            logger.log_metrics(dict(sent), step=int(given))
    return values


def save_loggers(session: Session) -> None:
    """Let loggers write out what they buffer."""
    if session.strategy.is_global_zero:
        for logger in session.loggers:
            logger.save()
