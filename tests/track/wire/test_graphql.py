"""Documents as clients write them are answered from plain objects."""

import pytest

from fulgurite.track.store.errors import NotFound
from fulgurite.track.wire import graphql
from fulgurite.track.wire.graphql import Node, as_json, execute
from fulgurite.track.wire.introspection import described


class Shelf(Node):
    also = ("Furniture",)

    def __init__(self):
        self.width = 80

    def book(self, title="", details=None):
        if title == "lost":
            raise NotFound("There is no book 'lost'.")
        return {"__typename": "Book", "title": title, "details": details}

    def broken(self):
        raise ZeroDivisionError("oh")


class Room(Node):
    def shelf(self):
        return Shelf()


def ask(document, variables=None, operation=None):
    return execute(document, variables, operation, {"query": Shelf()}, lambda name: described(name, {"Shelf": Shelf}))


def test_aliases_fragments_and_conditions_are_followed():
    """An empty operation name means the only one; fragments open for interfaces, and not for other types."""
    document = """
        query Q($no: Boolean = false) {
            w: width
            ...F
            ... on Table { width }
            ... on Furniture { __typename }
            gone: width @include(if: $no)
        }
        fragment F on Shelf { book(title: "a") { __typename name: title } }
    """

    answer = ask(document, operation="")

    assert answer == {"data": {"w": 80, "book": {"__typename": "Book", "name": "a"}, "__typename": "Shelf"}}


def test_a_variable_that_was_not_sent_is_not_there():
    """Neither as an argument nor inside an object; one that is null keeps the default."""
    document = "query($t: String, $d: Int) { book(title: $t, details: {d: $d, e: [1, $d]}) { title details } }"

    assert ask(document) == {"data": {"book": {"title": "", "details": {"e": [1]}}}}
    assert ask(document, {"t": None, "d": 2}) == {"data": {"book": {"title": "", "details": {"d": 2, "e": [1, 2]}}}}


def test_an_unknown_field_is_null_and_the_rest_is_answered(caplog):
    """It is told once in the log. Private names are never answered."""
    with caplog.at_level("INFO", "fulgurite.track"):
        answers = [ask("{ shine width __class__ }") for _ in range(2)]

    assert answers == [{"data": {"shine": None, "width": 80, "__class__": None}}] * 2
    assert sum("Shelf.shine" in message for message in caplog.messages) == 1


def test_an_unknown_change_is_an_error():
    """Null would mean that it was done, and the client of 0.31 breaks when it reads on."""
    answer = execute("mutation { paint { colour } }", None, None, {"query": Shelf(), "mutation": Shelf()})

    assert answer["data"] == {"paint": None}
    assert answer["errors"] == [{"message": "paint is not known to this server.", "path": ["paint"]}]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{ book(title: "lost") { title } }', "There is no book 'lost'."),
        ("{ broken }", "ZeroDivisionError in broken: oh"),
        ("{ broken", "Syntax Error"),
        ("{ a " * 5000 + "}" * 5000, "nested too deeply"),
        ("{ ...F } fragment F on Shelf { width ...F }", "a fragment holds itself"),
        (
            "{ ...A } fragment A on Shelf { a: book { ...B } b: book { ...B } } fragment B on Book { ...A }",
            "holds itself",
        ),
        (
            "{ ...F0 }" + "".join(f"fragment F{i} on Shelf {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60)),
            "at most 10,000 fields",
        ),
        (f"{{ width {' ' * (1 << 20)} }}", "at most 262,144 characters"),
        ("subscription { width }", "A subscription is not answered here."),
        ("fragment F on Shelf { width }", "no operation"),
    ],
)
def test_trouble_is_told_in_errors(document, told):
    """Never as an exception: the client would ask again for minutes."""
    assert told in ask(document)["errors"][0]["message"]


def test_an_answer_has_an_end(monkeypatch):
    """Lists of lists grow quickly, and the client asks for pages."""
    monkeypatch.setattr(graphql, "MOST_OBJECTS", 100)

    class Hall(Node):
        def halls(self):
            return [Hall() for _ in range(10)]

    few, many = (
        execute(text, None, None, {"query": Hall()}) for text in ("{ halls { a } }", "{ halls { halls { a } } }")
    )

    assert "errors" not in few
    assert "more than 100 things" in many["errors"][0]["message"]


def test_a_type_tells_its_fields():
    """Also those that only its constructor sets; a type that is not known has none, which is not the same as null."""
    document = '{ A: __type(name: "Shelf") { fields { name } } B: __type(name: "ServerSettings") { fields { name } } }'

    assert ask(document)["data"] == {
        "A": {"fields": [{"name": "book"}, {"name": "broken"}, {"name": "width"}]},
        "B": {"fields": []},
    }


def test_numbers_that_json_lacks_go_out_as_texts():
    assert as_json({"a": [float("nan")], "b": float("-inf"), "c": 1.5}) == '{"a":["NaN"],"b":"-Infinity","c":1.5}'


def test_a_thing_of_which_nothing_is_asked_says_what_it_is():
    """GraphQL would refuse ``{ book }``; here the answer is still one."""
    answer = execute("{ shelf }", None, None, {"query": Room()})

    assert as_json(answer) == '{"data":{"shelf":{"__typename":"Shelf"}}}'


def test_what_only_nodes_know_is_no_field():
    """``is_a`` is public for Python alone."""
    assert ask("{ is_a also }") == {"data": {"is_a": None, "also": None}}
