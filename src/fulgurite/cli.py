"""The `fulgurite` command: its words, and how a script is run as `python` would run it."""

import argparse
import builtins
import difflib
import importlib.machinery
import importlib.metadata
import io
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from fulgurite import compat

COMMANDS = ("run", "anomaly", "ui", "report", "export", "import", "consolidate")
EXAMPLES = """examples:
  fulgurite run train.py --epochs 5      run a Lightning script, unmodified, on Fulgurite
  fulgurite run -m project.train         the same for a module
  fulgurite anomaly detect sensor.csv    find anomalies in a CSV file
  fulgurite ui                           see the runs of this machine in a browser
  fulgurite report my-project            write a project's newest runs as one page that can be mailed
  fulgurite export my-project            write a project's runs to Parquet and plain files
  fulgurite consolidate last.ckpt        put a checkpoint that many processes wrote into one file
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; what a script raises passes through."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["anomaly"]:
        from fulgurite.anomaly import command  # late: nobody else shall wait for numpy and all that

        return command.main(words[1:])
    if words[:1] == ["ui"]:
        from fulgurite.track.command import main as ui  # late: as above

        return ui(words[1:])
    if words[:1] == ["report"]:
        from fulgurite.track.report.command import main as report  # late: as above

        return report(words[1:])
    if words[:1] in (["export"], ["import"]):
        from fulgurite.track.transfer import command as transfer  # late: as above

        return transfer.main(words)
    parser = _parser()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(_unknown(words[0]))
    # What follows the script belongs to the script, options too.
    own, rest = _split(words) if words[:1] == ["run"] else (words, [])
    chosen = parser.parse_args(own)
    if chosen.command is None:
        parser.print_help()
        return 0
    if chosen.command == "consolidate":
        return consolidate(chosen.folder, chosen.output)
    return run(chosen.target, rest, as_module=chosen.module)


def run(target: str, arguments: Sequence[str] = (), as_module: bool = False) -> int:
    """Run the script (or module) ``target`` as ``__main__`` with Lightning's names meaning Fulgurite's objects."""
    if not as_module and not Path(target).is_file():
        print(f"fulgurite run: no such script: {target!r} (in {Path.cwd()})", file=sys.stderr)
        return 2
    compat.install()
    _tell_children(target if as_module else os.path.abspath(target))
    sys.excepthook = _without_our_frames
    sys.argv = [target, *arguments]
    if not sys.flags.safe_path:  # with `python -P` no folder is put first
        sys.path[0] = os.getcwd() if as_module else os.path.dirname(os.path.realpath(target))
    if as_module:
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        _run_script(target)
    return 0


def consolidate(folder: str, output: str | None = None) -> int:
    """Write the checkpoint in ``folder`` as one file, ``<name>.consolidated.ckpt`` beside it unless it is named."""
    from fulgurite.base import folder as folders  # late: it loads torch
    from fulgurite.base import format
    from fulgurite.base.errors import CheckpointError

    place = Path(folder)
    target = Path(output or place.with_name(f"{place.name.removesuffix('.ckpt')}.consolidated.ckpt"))
    try:
        if not folders.is_folder(place):
            what = "is one file already" if place.is_file() else "is no checkpoint that is a folder"
            raise CheckpointError(f"{folder!r} {what}. Name the folder in which `meta.pt` lies.")
        if target.exists():
            raise CheckpointError(f"{str(target)!r} is there already. Name another file with --output, or remove it.")
        format.write(folders.read_folder(place), target)
    except (CheckpointError, OSError) as error:
        print(f"fulgurite consolidate: {error}", file=sys.stderr)
        return 2
    print(target)
    return 0


def _run_script(path: str) -> None:
    """Execute the file in a new ``__main__`` that stays, as the interpreter's own does (`runpy` would clear it)."""
    main = ModuleType("__main__")
    vars(main).update(
        __file__=os.path.abspath(path),
        __builtins__=builtins,
        __cached__=None,
        __spec__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", os.path.abspath(path)),
    )
    sys.modules["__main__"] = main
    with io.open_code(os.path.abspath(path)) as file:
        code = compile(file.read(), os.path.abspath(path), "exec")
    exec(code, vars(main))


def _tell_children(job: str) -> None:
    """Let spawned workers and ranks of the same job find the same names; see `compat/child/sitecustomize.py`."""
    folder = str(Path(compat.__file__).with_name("child"))
    before = os.environ.get("PYTHONPATH")
    os.environ["FULGURITE_RUN"] = job
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, before] if before else [folder])


def _without_our_frames(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback from the user's first line on, as `python script.py` would."""
    ours = max((i for i, step in enumerate(_steps(trace)) if step.tb_frame.f_code.co_filename == __file__), default=-1)
    for step in _steps(trace)[: ours + 1]:
        trace = step.tb_next
    while trace is not None and "runpy" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    error.__traceback__ = trace
    sys.__excepthook__(kind, error, trace)


def _steps(trace: TracebackType | None) -> list[TracebackType]:
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    return steps


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fulgurite",
        description="Train PyTorch models the PyTorch Lightning way.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fulgurite {importlib.metadata.version('fulgurite')}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    script = commands.add_parser(
        "run",
        help="run a script that imports pytorch_lightning or lightning, on Fulgurite",
        description="Run a Python script, unmodified, with `pytorch_lightning`, `lightning` and `lightning.pytorch` "
        "meaning Fulgurite's objects in that process and its workers, whether or not Lightning is installed.",
    )
    script.add_argument("-m", dest="module", action="store_true", help="the target is a module, as for `python -m`")
    script.add_argument("target", help="the script; everything after it is handed to it")
    # Its own words are read where they are meant for it.
    commands.add_parser("anomaly", help="find anomalies in rows with a time: CSV in, scores, events and a picture out")
    commands.add_parser("ui", help="show the runs of this machine in a browser, and let the wandb client log to it")
    commands.add_parser("report", help="write runs as one page that needs nothing beside it: to mail, or to commit")
    commands.add_parser("export", help="write runs to Parquet, CSV or W&B's offline files, and their files beside them")
    commands.add_parser("import", help="take in runs of CSVLogger, of TensorBoard, or of an offline W&B client")
    whole = commands.add_parser(
        "consolidate",
        help="put a checkpoint that many processes wrote, a folder, into one file",
        description="Read the folder that FSDPStrategy(state_dict_type='sharded') or ModelParallelStrategy wrote, in "
        "one process, and write one checkpoint file. The folder stays.",
    )
    whole.add_argument("folder", help="the checkpoint: the folder in which meta.pt lies")
    whole.add_argument("--output", help="the file to write; <name>.consolidated.ckpt beside the folder by default")
    return parser


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of `run` up to its target, and the target's own."""
    target = next((i for i, word in enumerate(words[1:], start=1) if not word.startswith("-")), len(words))
    return words[: target + 1], words[target + 1 :]


def _unknown(word: str) -> str:
    if word.endswith(".py"):
        return f"{word!r} is no command. Did you mean: fulgurite run {word}"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"{word!r} is no command." + (f" Did you mean {near[0]!r}?" if near else f" There is: {', '.join(COMMANDS)}")
