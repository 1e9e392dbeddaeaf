"""A dictionary whose keys are attributes too."""

from collections.abc import Iterable
from typing import Any


class AttributeDict(dict[str, Any]):
    """``d.lr`` is ``d["lr"]``, for reading, setting and deleting; otherwise a plain dict."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self)) or "none"
            raise AttributeError(f"Missing attribute {name!r}. There are: {known}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"Missing attribute {name!r}.") from None

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str))]

    def __repr__(self) -> str:
        return "\n".join(f'"{key}": {value!r}' for key, value in self.items())

    def copy(self) -> "AttributeDict":
        return AttributeDict(self)
