"""What is printed is noted, and printed as if nobody listened."""

import io
import os
import sys

import pytest

from fulgurite.track.writer.console import Capture, Screen
from fulgurite.track.writer.run import RunWriter


def shown(*pieces, stream="stdout"):
    screen = Screen()
    for piece in pieces:
        screen.write(stream, 0.0, piece)
    return [line.line for line in screen.changed()]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["a\nb\n"], ["a", "b"]),
        (["a", "b", "\n"], ["ab"]),
        (["a\n", "\n", "b\n"], ["a", "", "b"]),
        (["a\r\nb\r\n"], ["a", "b"]),
        (["  1%\r", " 50%\r", "100%\n", "done\n"], ["100%", "done"]),
        (["\r  1%", "\r 50%"], [" 50%"]),
        (["long line\r", "new\n"], ["newg line"]),
        (["long line\r\x1b[K", "new\n"], ["new"]),
        (["outer 1\ninner 1\x1b[A\router 2\n\rinner 2\n"], ["outer 2", "inner 2"]),
        (["a\x1b[2Kb\n"], [" b"]),
        (["\x1b[5A", "top\n"], ["top"]),
        (["\x1b[31mred\x1b[0m\n"], ["\x1b[31mred\x1b[0m"]),
        (["half \udc80\n"], ["half ?"]),
    ],
)
def test_lines_are_what_a_terminal_would_show(pieces, lines):
    """A progress bar that is redrawn a thousand times is one line, in its last state."""
    assert shown(*pieces) == lines


def test_a_line_is_told_again_only_if_it_changed():
    """Each writing carries what is new, under the number that the line had before."""
    screen = Screen()
    screen.write("stdout", 0.0, "first\n 1%")
    assert [(line.number, line.line) for line in screen.changed()] == [(0, "first"), (1, " 1%")]
    screen.write("stdout", 0.0, "\r 2%")
    assert [(line.number, line.line) for line in screen.changed()] == [(1, " 2%")]
    assert screen.changed() == []


def test_two_streams_do_not_mix():
    """A bar on stderr stays one line while stdout goes on."""
    screen = Screen()
    for stream, text in [("stderr", "\r 1%"), ("stdout", "hello\n"), ("stderr", "\r 2%\n"), ("stdout", "bye\n")]:
        screen.write(stream, 0.0, text)

    assert [(line.stream, line.line) for line in screen.changed()] == [
        ("stderr", " 2%"), ("stdout", "hello"), ("stdout", "bye"),
    ]  # fmt: skip


def test_a_bar_far_above_is_forgotten_not_mixed_up():
    """Cursor moves beyond what is remembered write to the topmost line that is known."""
    lines = shown("".join(f"{number}\n" for number in range(1000)), "\x1b[900A\rX\n")

    assert len(lines) == 1000
    assert sum("X" in line for line in lines) == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        return 17


def test_the_stream_is_as_it_was(monkeypatch):
    """isatty, fileno, encoding and all else are the stream's own; what is written arrives unchanged."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    taken = []
    capture = Capture(lambda *what: taken.append(what))

    capture.start()
    capture.start()
    assert sys.stdout is not terminal
    assert (sys.stdout.isatty(), sys.stdout.fileno(), sys.stdout.encoding) == (True, 17, terminal.encoding)
    print("hello", end="", flush=True)
    assert sys.stdout.write("ab") == 2
    sys.stdout.writelines(["c", "d"])
    capture.stop()

    assert sys.stdout is terminal
    print("later")
    assert terminal.getvalue() == "helloabcdlater\n"
    assert "".join(text for name, _, text in taken if name == "stdout") == "helloabcd"


def test_another_stand_in_is_left_alone(monkeypatch):
    """Whoever has put his own stream over ours keeps it; ours only passes on from then on."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    taken = []
    capture = Capture(lambda *what: taken.append(what))
    capture.start()
    ours = sys.stdout
    other = Terminal()
    sys.stdout = other
    capture.stop()

    assert sys.stdout is other
    ours.write("x")
    assert terminal.getvalue() == "x" and taken == []


def test_two_captures_end_in_any_order(monkeypatch):
    """Two loggers listen at once; when both have ended, the stream is the script's own."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    taken = []
    first, second = (Capture(lambda *what, n=n: taken.append((n, what[2]))) for n in (1, 2))
    first.start()
    second.start()
    sys.stdout.write("both")
    first.stop()
    sys.stdout.write("second")
    second.stop()

    assert sys.stdout is terminal
    assert sorted(taken) == [(1, "both"), (2, "both"), (2, "second")]


def test_an_error_of_the_stream_is_the_scripts(monkeypatch):
    """A closed stream raises what it always raises."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    capture = Capture(lambda *what: None)
    capture.start()
    terminal.close()
    with pytest.raises(ValueError, match="closed file"):
        print("x")
    capture.stop()


def test_a_run_keeps_what_was_printed(store):
    """From `listen` on, also before the first row; a second part of the run adds its lines below."""
    writer = RunWriter("p", console=True, facts=False)
    print("not noted")
    writer.listen()
    print("before")
    writer.log({"loss": 1.0}, 0)
    print("1%", end="\r")
    writer.flush()
    print("2%")
    print("bad", file=sys.stderr)
    writer.finish()
    print("not noted")
    writer.log({"loss": 1.0}, 1)
    print("again")
    writer.finish()

    lines = store.console.read(1)
    assert [(line.number, line.stream, line.line) for line in lines] == [
        (0, "stdout", "before"), (1, "stdout", "2%"), (2, "stderr", "bad"), (3, "stdout", "again"),
    ]  # fmt: skip
    assert lines[0].written_at.startswith("20")


def test_a_continued_run_adds_its_lines(store):
    """Another process's lines are not written over."""
    for text in ("first", "second"):
        writer = RunWriter("p", "abc", console=True, facts=False)
        writer.open()
        print(text)
        writer.finish()

    assert [line.line for line in store.console.read(1)] == ["first", "second"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_prints_for_itself(store, capfd):
    """What a loader's worker prints is printed, and not noted twice or at all."""
    writer = RunWriter("p", console=True, facts=False)
    writer.open()
    print("parent")
    child = os.fork()
    if child == 0:
        print("child", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    writer.finish()

    assert [line.line for line in store.console.read(1)] == ["parent"]
    assert "child" in capfd.readouterr().out
