"""The messages as we read them against those of the installed client."""

import pytest
from google.protobuf.descriptor import FieldDescriptor

from fulgurite.track.wire.offline import messages

client = pytest.importorskip("wandb.proto.wandb_internal_pb2")

# As a type of ours stands for another one that looks the same on the wire.
SAME_ON_THE_WIRE = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}


def pairs():
    """Each of our messages beside the client's, as they are reached from the record, with the way there."""
    todo, seen = [("Record", messages.Record.DESCRIPTOR, client.Record.DESCRIPTOR)], set()
    while todo:
        way, ours, theirs = todo.pop()
        if (ours.full_name, theirs.full_name) in seen:
            continue
        seen.add((ours.full_name, theirs.full_name))
        yield way, ours, theirs
        for field in ours.fields:
            theirs_below = theirs.fields_by_number[field.number].message_type
            if field.message_type and theirs_below:
                todo.append((f"{way}.{field.name}", field.message_type, theirs_below))


@pytest.mark.parametrize(("ours", "theirs"), [pytest.param(ours, theirs, id=way) for way, ours, theirs in pairs()])
def test_a_message_is_that_of_the_client(ours, theirs):
    """Each field has the client's number, name and type, and is repeated or an alternative as there."""
    for field in ours.fields:
        same = theirs.fields_by_name[field.name]
        assert field.number == same.number, field.full_name
        assert field.type == SAME_ON_THE_WIRE.get(same.type, same.type), field.full_name
        assert field.is_repeated == same.is_repeated, field.full_name
        assert bool(field.containing_oneof) == bool(same.containing_oneof), field.full_name


def test_every_kind_of_record_is_known():
    """A kind that a new client adds shows here."""
    known = {field.name for field in messages.Record.DESCRIPTOR.oneofs_by_name["content"].fields}

    assert known == {field.name for field in client.Record.DESCRIPTOR.oneofs_by_name["record_type"].fields}


def test_every_kind_of_value_is_known():
    """A value of a kind that we do not know would be read as None."""
    known = {field.name for field in messages.Record.DESCRIPTOR.file.message_types_by_name["HistoryItem"].fields}

    assert known == {field.name for field in client.HistoryItem.DESCRIPTOR.fields}
