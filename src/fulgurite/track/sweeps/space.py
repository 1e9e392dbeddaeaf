"""All parameters of a sweep together: a combination by its number, or one at random."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from fulgurite.track.sweeps.distributions import Distribution
from fulgurite.track.sweeps.errors import SweepError
from fulgurite.track.sweeps.parameters import distribution

Path = tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """The distributions by the path of their parameter: ("optimizer", "lr") lies inside the parameter optimizer."""

    parameters: Mapping[Path, Distribution]

    def size(self) -> int:
        """How many combinations a grid has. Raises ``SweepError``, which names a parameter that can't be listed."""
        return prod(len(values) for values in self._listed())

    def combination(self, number: int) -> dict[str, Any]:
        """The grid's combination of that number, from 0 on: the last parameter moves fastest."""
        chosen = {}
        for path, values in reversed(list(zip(self.parameters, self._listed(), strict=True))):
            number, place = divmod(number, len(values))
            chosen[path] = values[place]
        return self.nested({path: chosen[path] for path in self.parameters})

    def drawn(self, rng: random.Random) -> dict[str, Any]:
        """A combination at random."""
        return self.nested({path: each.sample(rng) for path, each in self.parameters.items()})

    def nested(self, values: Mapping[Path, Any]) -> dict[str, Any]:
        """Values by path as the configuration of a run."""
        config: dict[str, Any] = {}
        for path, value in values.items():
            place = config
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return config

    def flat(self, config: Mapping[str, Any]) -> dict[Path, Any] | None:
        """The way back; None where the configuration lacks one of the parameters."""
        values = {}
        for path in self.parameters:
            found: Any = config
            for name in path:
                if not isinstance(found, Mapping) or name not in found:
                    return None
                found = found[name]
            values[path] = found
        return values

    def _listed(self) -> Iterator[list[Any]]:
        for path, each in self.parameters.items():
            values = each.listed()
            if values is None:
                raise SweepError(
                    f"parameters.{'.'.join(path)} has no countable values, which method: grid needs. Give it values, "
                    "or a distribution of whole numbers or steps (int_uniform, q_uniform), or use method: random."
                )
            yield values


def space(said: Any, warnings: list[str]) -> Space:
    """The space that the key ``parameters`` describes. Raises ``SweepError``, which names the key."""
    found = dict(_read(said, (), warnings))
    if not found:
        raise SweepError("parameters is empty; a sweep needs at least one parameter.")
    return Space(found)


def _read(said: Any, above: Sequence[str], warnings: list[str]) -> Iterator[tuple[Path, Distribution]]:
    name = ".".join(("parameters", *above))
    if not isinstance(said, Mapping):
        raise SweepError(f"{name} is {said!r}; it must hold the parameters by name.")
    for key, entry in said.items():
        path = (*above, str(key))
        if not isinstance(entry, Mapping):
            raise SweepError(f"{name}.{key} is {entry!r}. Write {key}: {{value: {entry!r}}} for a fixed value.")
        if "parameters" in entry:
            for extra in sorted(entry.keys() - {"parameters"}):
                warnings.append(f"{name}.{key}.{extra} has no effect beside {name}.{key}.parameters.")
            yield from _read(entry["parameters"], path, warnings)
        else:
            yield path, distribution(f"{name}.{key}", entry, warnings)
