"""A device as users name it."""

import torch

from fulgurite.base.arguments import shown
from fulgurite.base.errors import MisconfigurationException


def as_device(given: torch.device | str | int, what: str) -> torch.device:
    """The device that was named. ``what`` is the argument, with ``{}`` for the value."""
    try:
        return torch.device(given)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise MisconfigurationException(
            f"{what.format(shown(given))} is no device: {reason}. Name one such as 'cpu' or 'cuda:0'."
        ) from error
