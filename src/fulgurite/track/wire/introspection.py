"""What this server says of itself to clients that ask before they send: up to 0.23 they do."""

import dis
import inspect
from collections.abc import Mapping
from typing import Any

from fulgurite.track.wire.graphql import NOT_FIELDS, Node

# What our mutations read of their arguments, by the names of the arguments' types.
INPUTS: dict[str, tuple[str, ...]] = {
    "AddAliasesInput": ("artifactID", "aliases"),
    "CreateArtifactInput": (
        "entityName", "projectName", "runName", "artifactTypeName", "artifactCollectionName",
        "artifactCollectionNames", "digest", "digestAlgorithm", "aliases", "tags", "metadata", "description",
        "clientID", "sequenceClientID", "enableDigestDeduplication", "historyStep", "ttlDurationSeconds",
        "distributedID",
    ),
    "CreateArtifactFileSpecInput": ("artifactID", "artifactManifestID", "name", "md5", "uploadPartsInput"),
    "DeleteFilesInput": ("files", "projectId"),
    "UseArtifactInput": ("artifactID", "entityName", "projectName", "runName", "usedAs"),
    "UpsertModelInput": ("name", "entityName", "description"),
}  # fmt: skip


def described(name: str, types: Mapping[str, Any]) -> dict[str, Any]:
    """The type ``name`` of ``types`` (its fields and their arguments) or of ``INPUTS``.

    What is not known here has no fields: clients look for a name in the list, and break where there is no list.
    """
    node = types.get(name)
    fields = []
    if isinstance(node, type) and issubclass(node, Node):
        fields = [{"name": each, "args": _arguments(node, each)} for each in fields_of(node)]
    inputs = [{"name": each} for each in INPUTS.get(name, ())]
    return {"__typename": "__Type", "name": name, "fields": fields, "inputFields": inputs}


def fields_of(node: type[Node]) -> list[str]:
    """The names of a type's fields: its methods and attributes, also those that only its constructor sets."""
    names = {name for name in dir(node) if not name.startswith("_")} - NOT_FIELDS
    for each in node.__mro__:
        constructor = vars(each).get("__init__")
        if inspect.isfunction(constructor):
            names |= {step.argval for step in dis.get_instructions(constructor) if step.opname == "STORE_ATTR"}
    return sorted(name for name in names if not name.startswith("_"))


def _arguments(node: Any, field: str) -> list[dict[str, str]]:
    method = getattr(node, field, None)
    return (
        [{"name": name} for name in inspect.signature(method).parameters if name != "self"] if callable(method) else []
    )
