"""Which runs to stop early: at certain numbers of logged values, only the best share of them goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# How often a run has logged the metric, as the best value until then, counted from 1: both only grow better.
Record = Sequence[float]
MOST = 64  # marks that a run may pass; eta**64 values are never logged


@dataclass(frozen=True)
class Hyperband:
    """Marks lie at ``first``, ``first * eta``, … or at ``last / eta``, ``last / eta**2``, … (``halvings`` of them).

    At each mark one in ``eta`` goes on. ``strict`` compares what a run had reached at the mark; otherwise a run is
    spared that has since become as good as those that went on.
    """

    eta: float
    first: int | None
    last: int | None
    halvings: int
    strict: bool = False

    def marks(self) -> list[int]:
        """The numbers of values at which runs are compared, in order; no more than can ever matter."""
        if self.first is not None:
            return [int(self.first * self.eta**n) for n in range(MOST) if self.eta**n < 1e12]
        assert self.last is not None, "config gives one of the two"
        return sorted({max(int(self.last / self.eta**n), 1) for n in range(1, self.halvings + 1)})

    def doomed(self, records: Mapping[str, Record], running: Sequence[str]) -> list[str]:
        """The runs among ``running`` that shall stop. ``records`` are those of all runs, the lower the better."""
        return [name for name in running if name in records and self._falls(records[name], list(records.values()))]

    def _falls(self, record: Record, all_records: Sequence[Record]) -> bool:
        passed = [mark for mark in self.marks() if mark <= len(record)]
        return any(self._falls_at(mark, record, all_records) for mark in (passed if self.strict else passed[-1:]))

    def _falls_at(self, mark: int, record: Record, all_records: Sequence[Record]) -> bool:
        reached = sorted(each[mark - 1] for each in all_records if len(each) >= mark)
        allowed = max(int(len(reached) / self.eta), 1)
        return (record[mark - 1] if self.strict else record[-1]) > reached[allowed - 1]
