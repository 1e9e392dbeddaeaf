"""Tracebacks that are told in another process show the user's lines, and where it failed below the last of them."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor

from fulgurite.base.traces import folded, users_frame


def broken():
    json.loads("{")


def through_a_package(act):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()


def text_of(act):
    try:
        act()
    except Exception as error:
        return folded(error)


def functions(text):
    return re.findall(r", in (\w+)\n", text)


def test_frames_between_the_users_are_left_out():
    """Those of the pool, which carried the call, and not those of json, where it failed."""
    told = text_of(lambda: through_a_package(broken))

    assert functions(told)[:3] == ["text_of", "through_a_package", "broken"]
    assert {"loads", "decode"} <= set(functions(told)) and "result" not in functions(told)
    assert re.search(r"JSONDecodeError: .*\n\(\d+ frames of installed packages are left out\.\)\n$", told)


def test_causes_are_folded_as_well():
    def other():
        try:
            through_a_package(broken)
        except ValueError as error:
            raise LookupError("no such thing") from error

    told = text_of(other)

    assert "direct cause" in told and "result" not in functions(told) and "decode" in functions(told)


def test_an_error_of_packages_alone_is_told_whole():
    try:
        json.loads("{")
    except ValueError as error:
        told = folded(error.with_traceback(error.__traceback__.tb_next))

    assert functions(told)[0] == "loads" and "left out" not in told


def test_the_users_innermost_frame():
    """From inside a package outwards."""
    found = []

    class Key:
        def __lt__(self, other):
            found.append(users_frame(sys._getframe().f_back).f_code.co_name)
            return False

    import heapq

    heapq.nsmallest(1, [Key(), Key()])

    assert set(found) == {"test_the_users_innermost_frame"}
    assert users_frame(None) is None
