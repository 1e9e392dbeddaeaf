"""What can go wrong with a sweep."""

from fulgurite.track.store.errors import StoreError


class SweepError(StoreError):
    """A sweep can't be made or changed as it was asked; the message names the key and the way out."""
