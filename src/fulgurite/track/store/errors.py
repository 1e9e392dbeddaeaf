"""What can go wrong with kept runs."""


class StoreError(RuntimeError):
    """The store can't be opened, read or written; the message says why and what to do."""


class NotFound(StoreError, LookupError):
    """There is nothing of that name."""
