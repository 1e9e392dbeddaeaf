"""Where Fulgurite differs from Lightning on purpose, and how a comparison has to allow for it.

Each deviation adjusts the pair (ours, golden) so that what it allows compares as equal; everything else of the
scenario is still compared. COMPAT.md tells users the same.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
Adjust = Callable[[Record, Record], tuple[Record, Record]]


@dataclass(frozen=True)
class Deviation:
    """One difference on purpose: in which scenarios, why, and what is not to be compared."""

    title: str
    scenarios: tuple[str, ...]
    reason: str
    adjust: Adjust

    def concerns(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.scenarios)


def eval_rows_without_axis(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget the step, and the epoch if there is one, of the rows that Lightning writes without an epoch."""
    evaluated = ["epoch" not in values for _, values in golden["rows"]]
    return {**ours, "rows": _blank(ours["rows"], evaluated)}, {**golden, "rows": _blank(golden["rows"], evaluated)}


def _blank(rows: list, evaluated: list[bool]) -> list:
    flags = [*evaluated, *[False] * len(rows)]
    return [
        [None, {key: value for key, value in values.items() if key != "epoch"}] if blank else [step, values]
        for (step, values), blank in zip(rows, flags, strict=False)
    ]


def other_outcome(*titles: str, raises: str) -> Adjust:
    """Allow ``raises`` in place of Lightning's exception for these misuses."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        named = raises != "accepted"
        allowed = {title: {"raises": raises, "names it": named and golden[title]["names it"]} for title in titles}
        return ours, {**golden, **allowed}

    return adjust


def better_named(ours: Record, golden: Record) -> tuple[Record, Record]:
    """A message of ours may name what Lightning's does not."""
    named = {
        title: {**case, "names it": case["names it"] or ours.get(title, {}).get("names it", False)}
        for title, case in golden.items()
    }
    return ours, {**golden, **named}


OWN_KEYS = ("fulgurite", "last_global_step_saved")


def without_own_state(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget our own keys in checkpoints."""
    return _pruned(ours), golden


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(part) for key, part in value.items() if key not in OWN_KEYS}
    if isinstance(value, list):
        return [_pruned(part) for part in value if part != "fulgurite"]
    return value


def paths_stored_as_text(ours: Record, golden: Record) -> tuple[Record, Record]:
    """A stored Path reads as text; what the module holds stays a Path."""
    chosen = golden["chosen"]
    return ours, {**golden, "chosen": {**chosen, "stored": {**chosen["stored"], "path": "some/where"}}}


def torn_down_after_errors(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Allow the teardown hooks after ``on_exception``."""
    kept = [line for line in ours["hooks"] if ".teardown(" not in line]
    order = [line for line in ours["order of hooks"] if ".teardown(" not in line]
    return {**ours, "hooks": kept, "order of hooks": order}, golden


def clock_from(start: str) -> Adjust:
    """Forget what the clock showed before the first line that begins with ``start``."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        return tuple({**side, "hooks": _from(side["hooks"], start)} for side in (ours, golden))  # type: ignore[return-value]

    return adjust


def _from(lines: list[str], start: str) -> list[str]:
    return lines[next(index for index, line in enumerate(lines) if line.startswith(start)) :]


def saves_come_last(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Move what the saving callback does after a batch or a validation behind the module's own hook."""

    def moved(lines: list[str]) -> list[str]:
        found: list[str] = []
        for line in lines:
            at = len(found)
            if line.startswith(("lm.on_validation_end", "lm.on_train_batch_end")):
                own = line.partition("(")[0].replace("lm.", "save.")
                while "on_save_checkpoint" in found[at - 1] or found[at - 1].startswith(own):
                    at -= 1
            found.insert(at, line)
        return found

    return ours, _with_hooks(golden, moved)


def without_sanity_check(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget the sanity check, and what the clock showed before the training began."""

    def without(lines: list[str]) -> list[str]:
        edges = [index for index, line in enumerate(lines) if "on_sanity_check_" in line]
        rest = [*lines[: edges[0]], *lines[edges[-1] + 1 :]] if edges else lines
        begun = next((index for index, line in enumerate(rest) if "on_train_start" in line), len(rest))
        return [line.partition(" @ ")[0] if index <= begun else line for index, line in enumerate(rest)]

    return _with_hooks(ours, without), _with_hooks(golden, without)


def _with_hooks(side: Record, changed: Callable[[list[str]], list[str]]) -> Record:
    return {key: changed(part) if key.endswith("hooks") else part for key, part in side.items()}


def only_hook_names(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Compare which hooks are called and where the run ends, not the data."""

    def names(side: Record) -> Record:
        return {"hooks": [line.partition("(")[0] for line in side["order of hooks"]], "end": side["end"]}

    return names(ours), names(golden)


def interrupt_goes_on(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Expect KeyboardInterrupt itself, and teardown."""
    return torn_down_after_errors(ours, {**golden, "raised": "KeyboardInterrupt"})


def without_loops(name: str) -> Adjust:
    """Forget the counters in one file."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        return tuple(  # type: ignore[return-value]
            {"files": {**side["files"], name: {**side["files"][name], "loops": None}}} for side in (ours, golden)
        )

    return adjust


def started_as_ready(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Count a batch as started when it is ready."""
    return ours, _started_as_ready(golden)


def _started_as_ready(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "started" in value and "processed" in value:
        return {**value, "started": value["ready"]}
    return {key: _started_as_ready(part) for key, part in value.items()}


def also_saved(*files: str) -> Adjust:
    """Allow more files, and what the callback remembers of them."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        return {"files": ours["files"]}, {"files": sorted([*golden["files"], *files])}

    return adjust


def without(*keys: str) -> Adjust:
    """Forget these parts of the record."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        return tuple({key: part for key, part in side.items() if key not in keys} for side in (ours, golden))  # type: ignore[return-value]

    return adjust


def without_row(index: int) -> Adjust:
    """Forget one row of what was logged."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        return tuple({**side, "rows": _dropped(side["rows"], index)} for side in (ours, golden))  # type: ignore[return-value]

    return adjust


def without_last_epoch(epochs: int) -> Adjust:
    """Cut off in Lightning's record what came after so many epochs."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        rows = [[step, values] for step, values in golden["rows"] if values["epoch"] < epochs]
        files = {name: file for name, file in golden["files"].items() if name != f"{epochs}.ckpt"}
        cut = {"rows": rows, "rates": golden["rates"][:epochs], "files": files, "end": ours["end"]}
        return ours, {**golden, **cut}

    return adjust


def only_zeros(*files: str) -> Adjust:
    """Compare in these files, and in the model in the end if "weights" is among them, only where the zeros are."""

    def zeros(side: Record) -> Record:
        kept = {
            name: {**file, "state_dict": _is_zero(file["state_dict"])} if name in files else file
            for name, file in side["files"].items()
        }
        weights = side["weights"]
        return {**side, "files": kept, "weights": _is_zero(weights) if "weights" in files else weights}

    return lambda ours, golden: (zeros(ours), zeros(golden))


def _is_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _is_zero(part) for key, part in value.items()}
    return [_is_zero(part) for part in value] if isinstance(value, list) else value == 0


def _dropped(rows: list, index: int) -> list:
    return rows[:index] + rows[index + 1 :]


def only_actions_that_are_there(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget hooks that a strategy of one device does not have, and the transfer where nobody has a part in it."""
    absent = golden["actions"].keys() - ours["actions"].keys()
    left_out = {
        name
        for name in absent
        if name.startswith("[Strategy]SingleDeviceStrategy.on_") or name.endswith(("_batch_transfer", "_to_device"))
    }
    actions = {name: count for name, count in golden["actions"].items() if name not in left_out}
    return ours, {**golden, "actions": actions}


def backward_by_hand(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Allow the action of ``manual_backward``."""
    actions = {name: count for name, count in ours["actions"].items() if not name.endswith("Strategy.backward")}
    return {**ours, "actions": actions}, golden


def without_megabytes(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget the size of the model; all other totals stay."""
    return tuple({**side, "totals": [*side["totals"][:2], *side["totals"][3:]]} for side in (ours, golden))  # type: ignore[return-value]


def listed_under_prefix(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Put the logger's prefix before the metrics that TensorBoard's HPARAMS page lists."""
    experiment = "_hparams_/experiment"
    values = [[*each[:3], [f"p-{name}" for name in each[3]]] if each[0] == experiment else each
              for each in golden["values"]]  # fmt: skip
    return ours, {**golden, "values": values}


def refused(*cases: str) -> Adjust:
    """Forget those answers of ``validate_settings`` in ``cases`` where ours is no."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        for case in cases:
            for key in [key for key in ours[case] if key.startswith("devices=") and ours[case][key] == "raises"]:
                golden = {**golden, case: {**golden[case], key: "raises"}}
        return ours, golden

    return adjust


DEVIATIONS: list[Deviation] = [
    Deviation(
        "a summary counts the bytes that there are",
        ("summary-with_half_of_it_unused_*",),
        "Lightning takes every parameter for one of the Trainer's precision, also where a layer has another type.",
        without_megabytes,
    ),
    Deviation(
        "a profiler measures what is there",
        ("profilers-*",),
        "Lightning measures its strategy's empty hooks and a transfer to the device where the batch already is.",
        only_actions_that_are_there,
    ),
    Deviation(
        "a profiler measures manual_backward",
        ("profilers-actions_by_hand",),
        "Lightning measures the backward of automatic optimisation only.",
        backward_by_hand,
    ),
    Deviation(
        "evaluation rows stand at the training step",
        (
            "logs-val_step_only",
            "logs-val_forked*",
            "logs-several_val_loaders",
            "logs-metric_*_in_val",
            "logs-validate_*",
            "logs-test_*",
        ),
        "Lightning counts evaluation batches from 0 for each loader, so that W&B's axis jumps backwards.",
        eval_rows_without_axis,
    ),
    Deviation(
        "checkpoints hold the exact position",
        ("checkpoints-*", "hparams-load_from_checkpoint", "weights-*"),
        "Lightning's counters cannot tell where a run was inside a batch; our own key does, and Lightning ignores it.",
        without_own_state,
    ),
    Deviation(
        "a save waits for the validation of its step (accumulating)",
        ("checkpoints-saved_while_accumulating",),
        "Lightning saves before the validation that follows, with a stale monitor, and validates again on resume.",
        without_loops("epoch=0-step=2.ckpt"),
    ),
    Deviation(
        "a save waits for the validation of its step (manual)",
        ("checkpoints-saved_in_manual_optimisation",),
        "Lightning saves before the validation that follows, with a stale monitor, and validates again on resume.",
        without_loops("epoch=0-step=8.ckpt"),
    ),
    Deviation(
        "a batch that is ready counts as started",
        ("checkpoints-saved_by_hand",),
        "Lightning counts it after on_train_batch_start; nothing reads that number, so we keep no counter for it.",
        started_as_ready,
    ),
    Deviation(
        "checkpoints are written after the module's own hooks",
        ("hooks-saving_in_validation", "hooks-monitoring_callbacks_last"),
        "Lightning saves before the module's hook: what it does there is lost to a run that goes on from the file.",
        saves_come_last,
    ),
    Deviation(
        "no sanity check where a run goes on",
        ("runs-resume_at_epoch_end", "runs-resume_from_epoch_end", "runs-resume_when_finished"),
        "Lightning checks again after the end of an epoch: hooks run twice, and random numbers are used up.",
        without_sanity_check,
    ),
    Deviation(
        "a finished epoch counts as soon as its file is read",
        ("runs-resume_from_epoch_end",),
        "In Lightning `current_epoch` is one behind in the hooks before `on_train_start`, the sanity check included.",
        clock_from("cb.on_train_start"),
    ),
    Deviation(
        "a run resumed in mid-epoch goes on with the data that it has not seen",
        ("runs-resume_from_batch_3",),
        "Lightning goes on counting but starts the data from the beginning: some rows are seen twice, others never.",
        only_hook_names,
    ),
    Deviation(
        "paths are stored as text",
        ("hparams-hyper_parameters",),
        "A pickled Path would make the file unreadable with weights_only=True, which is torch's default.",
        paths_stored_as_text,
    ),
    Deviation(
        "teardown runs after errors",
        ("runs-exception_in_fit",),
        "Lightning leaves out teardown when a run fails, and with it whatever the user would release there.",
        torn_down_after_errors,
    ),
    Deviation(
        "Ctrl-C stays a KeyboardInterrupt",
        ("runs-interrupted_from_the_keyboard",),
        "Lightning ends the process with SystemExit(1), notebooks included, and leaves out teardown.",
        interrupt_goes_on,
    ),
    Deviation(
        "a save without its monitor is made up for",
        ("checkpoints-names_every_3_steps_monitor_val",),
        "Lightning drops a save that is due before the monitor was ever logged; ours comes after the next validation.",
        also_saved("kept/epoch=0-step=4.ckpt"),
    ),
    Deviation(
        "last.ckpt holds the newest weights",
        ("checkpoints-names_save_last_link", "checkpoints-best_and_last"),
        "Lightning leaves it behind while the monitor worsens, so that who resumes from it loses those epochs.",
        without("links", "weights"),
    ),
    Deviation(
        "there is no average before the first update",
        ("weights-averaging_ema_epochs_only",),
        "Lightning validates, saves and in the end leaves the first, untrained weights until an average is there.",
        without_row(3),
    ),
    Deviation(
        "the pass for batch norms is no epoch",
        ("weights-stochastic_norm",),
        "Lightning steps, counts, logs, validates and saves it as one epoch more than max_epochs.",
        without_last_epoch(6),
    ),
    Deviation(
        "the ticket goes back when the next epoch begins",
        ("weights-pruning_lottery_ticket", "weights-pruning_lottery_ticket_by_epoch"),
        "Lightning resets the weights as it prunes, so that the epoch's file holds untrained ones.",
        only_zeros("1.ckpt"),
    ),
    Deviation(
        "the ticket is drawn when the next epoch begins",
        ("weights-pruning_lottery_ticket_drawn",),
        "Lightning draws as it prunes, so that every file, and the model in the end, hold untrained weights.",
        only_zeros("0.ckpt", "1.ckpt", "2.ckpt", "3.ckpt", "weights"),
    ),
    Deviation(
        "TensorBoard's HPARAMS page lists metrics under the names they have",
        ("loggers-tensorboard_by_hand",),
        "With a prefix Lightning lists a name that no metric has, so that the page's column stays empty.",
        listed_under_prefix,
    ),
    Deviation(
        "Trainer takes keyword arguments only",
        ("errors-trainer_callbacks",),
        "Lightning's signature says so too, but a decorator lets positional ones through.",
        other_outcome("positional", raises="TypeError"),
    ),
    Deviation(
        "a dict without an optimizer is a misconfiguration",
        ("errors-optimizers",),
        "Lightning fails with a bare KeyError that names neither the method nor what was expected.",
        other_outcome("dict without optimizer", raises="MisconfigurationException"),
    ),
    Deviation(
        "a scheduler without state is a misconfiguration",
        ("errors-optimizers",),
        "Lightning raises TypeError for a missing state_dict and MisconfigurationException for other wrong schedulers.",
        other_outcome("not a scheduler", raises="MisconfigurationException"),
    ),
    Deviation(
        "whatever steps and keeps its state is a scheduler",
        ("errors-optimizers",),
        "Lightning asks for torch's class or an overridden lr_scheduler_step; ours asks for the methods alone.",
        other_outcome("strange scheduler", raises="accepted"),
    ),
    Deviation(
        "a search for a learning rate is not cut short by `max_epochs`",
        ("tuner-rate_longer_than_the_training",),
        "Lightning tries fewer rates than it was asked to where the training is shorter, and suggests none or another.",
        without("seen", "results", "suggestions", "lr", "hparams"),
    ),
    Deviation(
        "a search in the middle of training runs (rate)",
        ("tuner-rate_at_milestones",),
        "Lightning counts the steps of the training as steps of the search, so that it ends at once and finds nothing.",
        without("seen", "lr", "hparams", "weights"),
    ),
    Deviation(
        "a search in the middle of training runs (size)",
        ("tuner-size_at_milestones",),
        "Lightning's trials end at once; it takes 64 untested, and the remaining epochs train on nothing.",
        without("seen", "batch_size", "hparams", "weights", "clock"),
    ),
    Deviation(
        "the first trial has the size `init_val`",
        ("tuner-size_power_from_*",),
        "Lightning runs its first trial with loaders of the old size, and so takes 64 where 20 fit.",
        without("found", "seen", "batch_size", "hparams"),
    ),
    Deviation(
        "`max_val` is a size that was tried",
        ("tuner-size_*_at_most_*",),
        "Lightning takes the size after the last that fit without a trial, also beyond max_val.",
        without("found", "seen", "batch_size", "hparams"),
    ),
    Deviation(
        "a trial of predictions has `steps_per_trial` steps",
        ("tuner-size_for_predict",),
        "Lightning predicts the whole data set for each size.",
        without("seen", "callback"),
    ),
    Deviation(
        "a wrong margin is a ValueError",
        ("tuner-misuse_of_size",),
        "Lightning asserts it, which python -O leaves out.",
        other_outcome("margin", raises="ValueError"),
    ),
    Deviation(
        "what processes started by hand say of themselves has to fit the Trainer",
        ("environments-lightning",),
        "Lightning takes LOCAL_RANK=1 with devices=1, and waits for processes that never come.",
        refused("case 1", "case 2", "case 3"),
    ),
    Deviation(
        "messages that say more",
        ("errors-*", "log_errors-*", "tuner-misuse_*"),
        "Our messages name what was wrong also where Lightning's do not.",
        better_named,
    ),
]
