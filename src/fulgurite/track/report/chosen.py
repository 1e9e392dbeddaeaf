"""Which runs are meant by what was written on the command line."""

from collections.abc import Iterable, Iterator, Sequence

from fulgurite.base.errors import DataError
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import ENTITY, Project, Run
from fulgurite.track.store.store import Store

TOLD = 12  # names in a message


class Chooser:
    """Finds runs by the words for them, in one project or in all; of a whole project the ``newest``."""

    def __init__(self, store: Store, project: str | None = None, newest: int = 20) -> None:
        self._store, self._newest = store, newest
        self._only = None if project is None else self._project(project)
        self._projects = store.runs.projects() if self._only is None else [self._only]

    def runs(self, words: Sequence[str]) -> list[Run]:
        """The runs that the words mean, each once; the newest of the project, if there is no word."""
        if not words and self._only is None:
            raise DataError(f"No run was named. Name runs, projects, or a project with --project; {self._known()}")
        found = [run for word in words for run in self._meant(word)] if words else self._of(self._projects[0])
        if not found:
            raise DataError(f"The project {(words or [self._projects[0].name])[0]!r} has no runs.")
        return list({run.id: run for run in found}.values())

    def _meant(self, word: str) -> list[Run]:
        for find in (self._by_name, self._by_address, self._by_project, self._by_display_name):
            if found := find(word):
                return found
        raise DataError(
            f"{word!r} is no run and no project. Write a run's id, PROJECT/RUN, ENTITY/PROJECT/RUN, the name that it "
            f"is shown with, or a project; {self._known()}"
        )

    def _by_name(self, word: str) -> list[Run]:
        return _single(word, [run for project in self._projects for run in self._found(project, word)])

    def _by_address(self, word: str) -> list[Run]:
        addresses = list(_addresses(word))
        return [
            run
            for project in self._projects
            for entity, name, run_name in addresses
            if (project.entity, project.name) == (entity, name)
            for run in self._found(project, run_name)
        ]

    def _by_project(self, word: str) -> list[Run]:
        entity, slash, name = word.partition("/")
        meant = {(ENTITY, word), (entity, name)} if slash else {(ENTITY, word)}
        return [
            run for project in self._projects if (project.entity, project.name) in meant for run in self._of(project)
        ]

    def _by_display_name(self, word: str) -> list[Run]:
        listed = (run for project in self._projects for run in self._store.runs.all(project))
        return _single(word, [run for run in listed if run.display_name == word])

    def _found(self, project: Project, name: str) -> list[Run]:
        try:
            return [self._store.runs.find(project, name)]
        except NotFound:
            return []

    def _of(self, project: Project) -> list[Run]:
        return self._store.listing.page(project, self._newest)

    def _project(self, name: str) -> Project:
        entity, slash, rest = name.partition("/")
        known = {(each.entity, each.name): each for each in self._store.runs.projects()}
        found = known.get((ENTITY, name)) or (known.get((entity, rest)) if slash else None)
        if found is None:
            raise DataError(f"There is no project {name!r}; {_projects_told(list(known.values()))}")
        return found

    def _known(self) -> str:
        if self._only is None:
            return _projects_told(self._projects)
        return f"the newest runs of {self._only.name} are: {_listed([_told(run) for run in self._of(self._only)])}."


def _addresses(word: str) -> Iterator[tuple[str, str, str]]:
    """Entity, project and run that a word with slashes may mean."""
    head, slash, tail = word.partition("/")
    if slash:
        yield ENTITY, head, tail
        inner, slash, last = tail.partition("/")
        if slash:
            yield head, inner, last


def _single(word: str, found: list[Run]) -> list[Run]:
    if len(found) > 1:
        raise DataError(f"{word!r} is the name of {len(found)} runs. Write one of: {_listed(map(_address, found))}.")
    return found


def _projects_told(projects: Sequence[Project]) -> str:
    return f"the projects are: {_listed(map(_place, projects))}."


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = [f"and {len(listed) - TOLD} more"] if len(listed) > TOLD else []
    return ", ".join([*listed[:TOLD], *more]) or "none"


def _address(run: Run) -> str:
    return f"{_place(run.project)}/{run.name}"


def _place(project: Project) -> str:
    return project.name if project.entity == ENTITY else f"{project.entity}/{project.name}"


def _told(run: Run) -> str:
    return f"{run.name} ({run.display_name})" if run.display_name else run.name
