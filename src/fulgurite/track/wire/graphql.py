"""Answers GraphQL documents from plain objects, without a schema: a field that we don't know is null.

The client asks for hundreds of fields, and other ones with each release. What it gets back may nearly always be null,
so a document is walked over the objects that are there, instead of being checked against types first.
"""

import functools
import inspect
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    parse,
    value_from_ast_untyped,
)

from fulgurite.base.arguments import fitting, kinds_of, shown
from fulgurite.base.errors import MisconfigurationException
from fulgurite.track.store.errors import StoreError

log = logging.getLogger("fulgurite.track")
_unknown: set[tuple[str, str]] = set()


# The client's longest document has about 10,000 characters, and its largest answers tell of some 10,000 things.
LONGEST, MOST_FIELDS, MOST_OBJECTS = 256 << 10, 10_000, 1_000_000
MOST_UNKNOWN = 1000  # names that are told of in the log
NOT_FIELDS = {"also", "is_a"}  # public names of `Node` that are no fields


class Node:
    """A GraphQL type: public attributes and methods are its fields, a method's parameters are the field's arguments."""

    also: tuple[str, ...] = ()  # interfaces and unions that the type belongs to

    @classmethod
    def is_a(cls, name: str) -> bool:
        return name in cls.also or any(parent.__name__ == name for parent in cls.__mro__)


@dataclass
class Asked:
    """One document that is being answered: what it says, and what went wrong so far."""

    fragments: dict[str, FragmentDefinitionNode]
    variables: dict[str, Any]
    describe: Callable[[str], Any]
    mutations: Node | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    objects: int = 0


def execute(
    text: str,
    variables: Mapping[str, Any] | None,
    operation: str | None,
    roots: Mapping[str, Node],
    describe: Callable[[str], Any] = lambda name: None,
) -> dict[str, Any]:
    """Return GraphQL's answer, ``{"data": …}`` with ``"errors"`` where there were some. ``roots``: query, mutation.

    ``operation`` may be empty, as the client's often is: then the document's only one is meant. ``describe`` answers
    what a type is like.
    """
    try:
        return _answer(_parsed(text), variables or {}, operation or None, roots, describe)
    except GraphQLError as error:
        return {"data": None, "errors": [{"message": error.message}]}
    except RecursionError:
        return {"data": None, "errors": [{"message": "The document is nested too deeply, or a fragment holds itself."}]}


def _answer(
    document: DocumentNode,
    variables: Mapping[str, Any],
    operation: str | None,
    roots: Mapping[str, Node],
    describe: Callable[[str], Any],
) -> dict[str, Any]:
    chosen = _operation(document, operation)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    asked = Asked(fragments, {**_defaults(chosen), **variables}, describe, roots.get("mutation"))
    if chosen.operation.value not in roots:
        raise GraphQLError(_not_here(chosen.operation.value))
    data = _object(roots[chosen.operation.value], [chosen.selection_set], asked, ())
    return {"data": data, "errors": asked.errors} if asked.errors else {"data": data}


def _not_here(kind: str) -> str:
    if kind == "mutation":
        return "Permission denied: a reader's key does not allow a mutation."
    return f"A {kind} is not answered here."


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> DocumentNode:
    if len(text) > LONGEST:
        raise GraphQLError(f"A document has at most {LONGEST:,} characters, and this one has {len(text):,}.")
    document = parse(text, no_location=True)
    _check_fragments(document)
    return document


def _check_fragments(document: DocumentNode) -> None:
    """Raise if the document, with its fragments written out, is beyond all measure: a few lines can ask for that."""
    fragments = {d.name.value: d.selection_set for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    sizes: dict[str, int] = {}

    def size(chosen: SelectionSetNode | None, inside: tuple[str, ...]) -> int:
        total = sum(1 + part(each, inside) for each in chosen.selections) if chosen is not None else 0
        if total > MOST_FIELDS:
            raise GraphQLError(f"A document asks for at most {MOST_FIELDS:,} fields, with its fragments written out.")
        return total

    def part(selection: Any, inside: tuple[str, ...]) -> int:
        if not isinstance(selection, FragmentSpreadNode):
            return size(selection.selection_set, inside)
        name = selection.name.value
        if name in inside:
            raise GraphQLError(f"This is nested too deeply: a fragment holds itself, {name}.")
        if name not in sizes:
            sizes[name] = size(fragments.get(name), (*inside, name))
        return sizes[name]

    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode | FragmentDefinitionNode):
            own = (each.name.value,) if isinstance(each, FragmentDefinitionNode) else ()
            size(each.selection_set, own)


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    named = [d for d in found if name is None or (d.name is not None and d.name.value == name)]
    if not named:
        raise GraphQLError(f"The document has no operation {name!r}.")
    return named[0]


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in operation.variable_definitions or ()
        if each.default_value is not None
    }


def _object(node: Any, selections: Iterable[SelectionSetNode], asked: Asked, path: tuple[Any, ...]) -> dict[str, Any]:
    asked.objects += 1
    if asked.objects > MOST_OBJECTS:
        raise GraphQLError(f"The answer would tell of more than {MOST_OBJECTS:,} things. Ask for a page of them.")
    answer: dict[str, Any] = {}
    for name, group in _grouped(node, selections, asked).items():
        answer[name] = _value(_resolved(node, group[0], asked, (*path, name)), group, asked, (*path, name))
    return answer


def _grouped(node: Any, selections: Iterable[SelectionSetNode], asked: Asked) -> dict[str, list[FieldNode]]:
    """The fields that are asked of ``node``, by the names under which the answer has them; fragments are opened."""
    groups: dict[str, list[FieldNode]] = {}
    for selection in (each for chosen in selections for each in chosen.selections):
        if not _included(selection, asked):
            continue
        if isinstance(selection, FieldNode):
            groups.setdefault((selection.alias or selection.name).value, []).append(selection)
        elif fragment := _fragment(node, selection, asked):
            for name, fields in _grouped(node, [fragment], asked).items():
                groups.setdefault(name, []).extend(fields)
    return groups


def _fragment(node: Any, selection: Any, asked: Asked) -> SelectionSetNode | None:
    """The selection of a fragment if it is meant for things like ``node``."""
    assert isinstance(selection, FragmentSpreadNode | InlineFragmentNode)
    if isinstance(selection, FragmentSpreadNode):
        found: Any = asked.fragments.get(selection.name.value)
        if found is None:
            return None
    else:
        found = selection
    condition = found.type_condition
    fits = condition is None or not isinstance(node, Node) or node.is_a(condition.name.value)
    chosen: SelectionSetNode = found.selection_set
    return chosen if fits else None


def _included(selection: Any, asked: Asked) -> bool:
    for directive in selection.directives or ():
        if directive.name.value in ("include", "skip"):
            wanted = all(value_from_ast_untyped(each.value, asked.variables) for each in directive.arguments or ())
            if wanted == (directive.name.value == "skip"):
                return False
    return True


def _resolved(node: Any, chosen: FieldNode, asked: Asked, path: tuple[Any, ...]) -> Any:
    name = chosen.name.value
    if isinstance(node, Mapping):
        return node.get(name)
    if name == "__typename":
        return type(node).__name__
    if name == "__type":
        return asked.describe(str(_arguments(chosen, asked).get("name")))
    found = None if name.startswith("_") or name in NOT_FIELDS else getattr(node, name, None)
    if found is None and not hasattr(type(node), name) and name not in getattr(node, "__dict__", ()):
        _tell_unknown(type(node).__name__, name)
        if len(path) == 1 and node is asked.mutations:
            # Null here would mean that it was done: the client reads on in what it did, and breaks.
            asked.errors.append({"message": f"{name} is not known to this server.", "path": list(path)})
    if not callable(found):
        return found
    given = _accepted(found, _arguments(chosen, asked))
    try:
        return found(**given)
    except StoreError as error:
        asked.errors.append({"message": str(error), "path": list(path)})
    except Exception as error:
        log.exception("The field %s of %s failed", name, type(node).__name__)
        asked.errors.append({"message": _blamed(found, given, error), "path": list(path)})
    return None


def _blamed(method: Callable[..., Any], given: dict[str, Any], error: Exception) -> str:
    """What a failure is to be told as: by the argument that can't be meant, if there is one."""
    name, kinds = method.__name__, kinds_of(getattr(method, "__func__", method))
    required = inspect.signature(method).parameters.values()
    if missing := [each.name for each in required if each.default is each.empty and each.name not in given]:
        return f"{name} needs the argument {missing[0]!r}."
    try:
        for argument, value in given.items():
            fitting(value, kinds.get(argument, Any), f"{name}({argument}: {{}})")
    except MisconfigurationException as misfit:
        return str(misfit)
    kind = type(error).__name__
    return f"{name} can't be answered with {shown(given)} ({kind}: {error})" if given else f"{kind} in {name}: {error}"


def _arguments(chosen: FieldNode, asked: Asked) -> dict[str, Any]:
    """A field's arguments. A variable that was not sent is as if its name did not stand there, at any depth."""
    values = {each.name.value: value_from_ast_untyped(each.value, asked.variables) for each in chosen.arguments or ()}
    return {name: _sent(value) for name, value in values.items() if value is not Undefined}


def _sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sent(each) for name, each in value.items() if each is not Undefined}
    return [_sent(each) for each in value if each is not Undefined] if isinstance(value, list) else value


def _accepted(method: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that the method knows; one that was left out or is null keeps the method's default."""
    known = _parameters(getattr(method, "__func__", method))
    return {name: value for name, value in arguments.items() if name in known and value is not None}


@functools.cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _value(value: Any, group: Sequence[FieldNode], asked: Asked, path: tuple[Any, ...]) -> Any:
    selections = [each.selection_set for each in group if each.selection_set is not None]
    if value is None or not selections:
        return value
    if isinstance(value, list | tuple):
        return [_value(each, group, asked, (*path, i)) for i, each in enumerate(value)]
    return _object(value, selections, asked, path)


def _tell_unknown(kind: str, name: str) -> None:
    """Say once that a client asked for something that is not here; it gets null and goes on."""
    if (kind, name) not in _unknown and len(_unknown) < MOST_UNKNOWN:
        _unknown.add((kind, name))
        log.info("A client asked for %s.%s, which is not known here; it was answered with null.", kind, name)


def as_json(value: Any) -> str:
    """JSON that every parser reads: numbers that JSON has no word for become the texts "NaN" and "Infinity"."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_unselected)
    except ValueError:
        return json.dumps(_tame(value), separators=(",", ":"), default=_unselected)


def _unselected(node: Any) -> dict[str, str]:
    """What is told of a thing of which no field was asked, as in ``{ viewer }``."""
    if not isinstance(node, Node):
        raise TypeError(f"A {type(node).__name__} is no part of an answer.")
    return {"__typename": type(node).__name__}


def _tame(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _tame(each) for key, each in value.items()}
    return [_tame(each) for each in value] if isinstance(value, list | tuple) else value
