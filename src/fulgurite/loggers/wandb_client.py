"""How the W&B client is opened and closed so that no server, or the lack of one, holds up a training."""

import netrc
import os
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fulgurite.base.rank import rank_zero_warn

if TYPE_CHECKING:
    from wandb import Settings
    from wandb.sdk.wandb_run import Run

INIT_TIMEOUT = 30.0
"""Seconds until a server that does not answer at the start counts as down; the client's own are 90."""
FINISH_TIMEOUT = 120.0
"""Seconds that rows and files may take at the end; by itself the client waits without end."""
PROBE_TIMEOUT = 5.0


def open_run(wandb: ModuleType, settings: dict[str, Any], must_be_online: bool) -> "tuple[Run, bool]":
    """``wandb.init(**settings)``, or an offline run where the server does not answer; says whether that was so.

    What the server refuses (a wrong key, an unknown entity) is raised: it would be refused later as well.
    """
    bounds = bounded(wandb, settings.get("settings"))
    began, patience = time.monotonic(), _in_force(wandb, bounds, "init_timeout")
    try:
        return wandb.init(**{**settings, "settings": bounds}), False
    except wandb.errors.CommError as error:
        # A server that cannot be reached is tried until the time is over; a refusal comes at once.
        if must_be_online or time.monotonic() - began < 0.9 * patience:
            error.add_note("WandbLogger(offline=True) records the run without a server; `wandb sync` sends it later.")
            raise
        return _opened_offline(wandb, {**settings, "settings": bounds}, error), True


def _opened_offline(wandb: ModuleType, settings: dict[str, Any], error: Exception) -> "Run":
    waited = f"{_in_force(wandb, settings['settings'], 'init_timeout'):.0f} s"
    # The client holds the id of the run that could not be opened for the rest of the process.
    own = {"id": secrets.token_hex(4), "mode": "offline"}
    run = wandb.init(**{**settings, **own, "resume": None})
    rank_zero_warn(
        f"The W&B server at {run.settings.base_url} did not answer within {waited}: this run is recorded offline. "
        f"`fulgurite ui` shows it, `{sync_command(run, settings['id'])}` sends it to the server. "
        f"The client said: {str(error).splitlines()[0]}"
    )
    return run


def sync_command(run: "Run", run_id: str | None = None) -> str:
    """What sends the recorded ``run`` to the server, as the run ``run_id`` if it goes by another id there."""
    options = "" if run.offline else "--include-online "
    options += f"--id {run_id} " if run_id not in (None, run.id) else ""
    return f"wandb sync {options}{run_folder(run)}"


def run_folder(run: "Run") -> str:
    """The folder that ``wandb sync`` takes."""
    return os.path.dirname(run.dir)


def bounded(wandb: ModuleType, given: "Settings | Mapping[str, Any] | None") -> "Settings":
    """The settings for a run: the given ones, and bounds for the waits that the user has nowhere set."""
    own = dict(given) if isinstance(given, Mapping) else {}
    known = getattr(wandb.Settings, "model_fields", {})
    elsewhere = wandb.setup().settings.model_fields_set if known else set()
    named = own.keys() | elsewhere | (given.model_fields_set if isinstance(given, wandb.Settings) else set())
    bounds = {
        name: os.environ.get(f"WANDB_{name.upper()}", seconds)
        for name, seconds in (("init_timeout", INIT_TIMEOUT), ("finish_timeout", FINISH_TIMEOUT))
        if name in known and name not in named
    }
    if isinstance(given, wandb.Settings):
        return given.model_copy(update={name: float(seconds) for name, seconds in bounds.items()})
    return wandb.Settings(**{**bounds, **own})


def _in_force(wandb: ModuleType, settings: "Settings", name: str) -> float:
    return float(getattr(settings if name in settings.model_fields_set else wandb.setup().settings, name))


def bounds_are_ours(run: "Run") -> bool:
    """Whether the end of ``run`` waits as long as this module says, and not as its user or the client says."""
    return getattr(run.settings, "finish_timeout", None) == FINISH_TIMEOUT


def when_finishing(run: "Run", before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call ``before`` and ``after`` around the last talk with the server, whoever finishes the run."""
    try:
        from wandb.sdk.wandb_run import TeardownHook, TeardownStage

        run._teardown_hooks += [TeardownHook(before, TeardownStage.EARLY), TeardownHook(after, TeardownStage.LATE)]
    except (ImportError, AttributeError):
        return  # a client that has no such place, or a stand-in for a run


def exit_code() -> int:
    """With what this process ends, as far as the client knows: 255 after Ctrl-C, 1 after an error, or `sys.exit`'s own.

    The client finds that out by standing in for these two functions; it tells it at its own end, not in ``finish``.
    """
    stand_ins = (getattr(function, "__self__", None) for function in (sys.exit, sys.excepthook))
    codes = (getattr(each, "exit_code", 0) for each in stand_ins)
    return next((code for code in codes if isinstance(code, int) and code), 0)


def answers(run: "Run") -> bool:
    """Whether the server of ``run`` is there and well enough to answer."""
    settings = run.settings
    named = {"http": getattr(settings, "http_proxy", None), "https": getattr(settings, "https_proxy", None)}
    proxies = {**urllib.request.getproxies(), **{scheme: proxy for scheme, proxy in named.items() if proxy}}
    # Only whether it answers is asked, and no secret is sent, so its certificate need not be known here.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        asked = urllib.request.Request(settings.base_url, method="HEAD")
        through = urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
        with urllib.request.build_opener(*through).open(asked, timeout=PROBE_TIMEOUT):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in (502, 503, 504)
    except (OSError, ValueError):
        return False


def has_account(wandb: ModuleType) -> bool:
    """Whether W&B can find a key or a mode of its own, without asking anybody and without the network."""
    settings = wandb.setup().settings
    if settings.api_key or settings.mode != "online" or getattr(settings, "identity_token_file", None):
        return True
    if _key_in_netrc(settings.base_url):
        return True
    try:
        return bool(wandb.login(prompt=False))
    except TypeError:
        return False  # older clients would ask
    except wandb.errors.Error:
        return True  # there is a key; what is wrong with it shall be said by W&B


def _key_in_netrc(base_url: str) -> bool:
    candidates = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for path in [os.path.expanduser(each) for each in candidates if each]:
        try:
            if netrc.netrc(path).authenticators(urlsplit(base_url).hostname or base_url):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
