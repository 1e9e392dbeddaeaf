"""Which Python functions each action spent its time in."""

import cProfile
import io
import pstats
import re
import sys
from pathlib import Path
from typing import Any

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.paths import atomic_write
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.profiler import Profiler

Within = tuple[str, ...]
"""The actions that are open, from the outermost to the innermost."""


class AdvancedProfiler(Profiler):
    """`cProfile` for each action: its functions with their calls and times, those of the actions inside it included.

    ``line_count_restriction`` shortens each list: a float to a share of its lines, an int to a number of them.
    ``dump_stats=True`` writes ``<stage>-<filename>-<action>.prof`` as well, for ``snakeviz`` and the like.

    Python allows one such profile at a time. So the profile of an action rests while one inside it has its own, and
    the report puts them together: own times and calls are exact, a function's cumulative time leaves out the actions
    inside. Where another profiler is active already, a warning says so and nothing is measured.
    """

    @checked
    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        line_count_restriction: float = 1.0,
        dump_stats: bool = False,
    ) -> None:
        super().__init__(dirpath, filename)
        if isinstance(line_count_restriction, float) and not 0 < line_count_restriction <= 1:
            raise MisconfigurationException(
                f"line_count_restriction={line_count_restriction}: a share in (0.0, 1.0], or an int of lines, was "
                "expected."
            )
        self.line_count_restriction = line_count_restriction
        self.dump_stats = dump_stats
        self._profiles: dict[Within, cProfile.Profile] = {}
        self._within: Within = ()
        self._active: cProfile.Profile | None = None
        self._blocked = self._reported = False

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        super().setup(stage, local_rank, log_dir)
        if self._reported:
            self._profiles, self._within, self._reported = {}, (), False
        self._blocked = False

    def start(self, action_name: str) -> None:
        self._enter((*self._within, action_name))

    def stop(self, action_name: str) -> None:
        if action_name not in self._within:
            raise ValueError(f"Attempting to stop recording an action ({action_name}) which was never started.")
        # Not always the innermost: a generator may be left while its action is open.
        place = len(self._within) - 1 - self._within[::-1].index(action_name)
        self._enter(self._within[:place] + self._within[place + 1 :])

    def summary(self) -> str:
        texts = [self._text(name) for name in self._actions()]
        return "\n".join([self._title(), "", *texts]) if texts else ""

    def describe(self) -> None:
        super().describe()
        if self.dump_stats:
            self._dump()
        self._reported = True

    def teardown(self, stage: str | None) -> None:
        self._enter(())

    def __getstate__(self) -> dict[str, Any]:
        # A profile of the interpreter cannot be copied or sent anywhere.
        return {**vars(self), "_profiles": {}, "_within": (), "_active": None}

    def _enter(self, within: Within) -> None:
        """Let the profile of the innermost action rest, and that of ``within`` go on."""
        if self._active is not None:
            self._active.disable()
            self._active = None
        self._within = within
        if not within or self._blocked:
            return
        profile = self._profiles.get(within)
        if profile is None:
            profile = self._profiles[within] = cProfile.Profile()
        try:
            if sys.getprofile() is not None:
                # Before Python 3.12 the newest one would win, and the other one measure no more.
                raise ValueError("Another profiling tool is already active")
            profile.enable()
            self._active = profile
        except ValueError as error:
            self._blocked = True
            rank_zero_warn(
                f"AdvancedProfiler measures nothing in this run: {error}. Run without the other one "
                "(`python -m cProfile`, a debugger, coverage), or use SimpleProfiler."
            )

    def _actions(self) -> list[str]:
        """In the order in which they first happened."""
        return list(dict.fromkeys(name for within in self._profiles for name in within))

    def _stats(self, action: str, stream: Any) -> pstats.Stats | None:
        resting = self._active
        if resting is not None:
            resting.disable()
        try:
            found = [profile for within, profile in self._profiles.items() if action in within]
            filled = [profile for profile in found if profile.getstats()]
            return pstats.Stats(*filled, stream=stream) if filled else None
        finally:
            if resting is not None:
                resting.enable()

    def _text(self, action: str) -> str:
        stream = io.StringIO()
        stats = self._stats(action, stream)
        if stats is None:
            return f"Profile stats for: {action}\n   nothing was called\n"
        stats.sort_stats("cumulative").print_stats(self.line_count_restriction)
        return f"Profile stats for: {action}\n{stream.getvalue().rstrip()}\n"

    def _dump(self) -> None:
        folder = self.folder()
        folder.mkdir(parents=True, exist_ok=True)
        for action in self._actions():
            stats = self._stats(action, io.StringIO())
            if stats is not None:
                # A state key may hold whatever a file's name cannot.
                word = re.sub(r"[^\w.\[\]-]+", "_", action)[:150]
                with atomic_write(folder / self._name(".prof", word)) as file:
                    file.write(_marshalled(stats))
        rank_zero_info(f"The profiles of {len(self._actions())} actions are in {str(folder)!r}")


def _marshalled(stats: pstats.Stats) -> bytes:
    import marshal

    return marshal.dumps(stats.stats)  # type: ignore[attr-defined]
