"""A callback made of functions, for those that need no class."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from fulgurite.core.callback import Callback

NOT_HOOKS = frozenset({"state_key", "state_dict", "load_state_dict"})
HOOKS = tuple(name for name in vars(Callback) if not name.startswith("_") and name not in NOT_HOOKS)


class LambdaCallback(Callback):
    """Call a function at each hook that is named: ``LambdaCallback(on_fit_start=lambda trainer, pl_module: ...)``.

    Every hook of `Callback` can be named. The others count as not overridden and cost nothing.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if name not in HOOKS:
                near = difflib.get_close_matches(name, HOOKS, n=1)
                meant = f" Did you mean {near[0]!r}?" if near else f" Hooks are: {', '.join(HOOKS)}."
                raise TypeError(f"LambdaCallback() got an unexpected keyword argument {name!r}.{meant}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback({name}={function!r}): expected a function or None.")
            setattr(self, name, function)
