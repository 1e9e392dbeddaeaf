"""What a model is made of: its layers, their parameters, and with an example input their sizes and operations."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from fulgurite.base.rank import warn_once
from fulgurite.base.seed import isolate_rng
from fulgurite.base.tree import move_data_to_device

PARAMETER_NUM_UNITS = [" ", "K", "M", "B", "T"]
UNKNOWN_SIZE = "?"
LEFTOVER_PARAMS_NAME = "other params"
NOT_APPLICABLE = "n/a"

# A column's header and its cells, one per row.
Column = tuple[str, list[str]]


class LayerSummary:
    """One row: a layer, and the sizes it saw if a forward pass ran while it watched."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._hook: Any = module.register_forward_hook(self._take_sizes)
        self.in_size: str | list[Any] | None = None
        self.out_size: str | list[Any] | None = None

    def _take_sizes(self, _: nn.Module, given: tuple[Any, ...], returned: Any) -> None:
        self.in_size = sizes_of(given[0] if len(given) == 1 else given)
        self.out_size = sizes_of(returned)
        self.detach_hook()

    def detach_hook(self) -> None:
        """Stop watching."""
        self._hook.remove()

    @property
    def layer_type(self) -> str:
        return type(self._module).__name__

    @property
    def num_parameters(self) -> int:
        return count(self._module.parameters())

    @property
    def training(self) -> bool:
        return self._module.training


class ModelSummary:
    """The layers of ``model`` down to ``max_depth`` (1: its children, -1: all, 0: none), and totals of all parameters.

    With an ``example_input_array`` on the model one forward pass runs, in eval mode and without gradients; training
    modes and random states are afterwards what they were. ``str(...)`` gives the table.
    """

    def __init__(self, model: nn.Module, max_depth: int = 1) -> None:
        if not isinstance(max_depth, int) or max_depth < -1:
            raise ValueError(f"max_depth={max_depth!r} must be -1 (all layers), 0 (none) or a positive depth.")
        self._model = model
        self._max_depth = max_depth
        self.flop_counts: dict[str, dict[Any, int]] | None = None
        self._layers = OrderedDict((name, LayerSummary(module)) for name, module in self.named_modules)
        try:
            self._try_example()
        finally:
            for layer in self._layers.values():
                layer.detach_hook()
        if any(isinstance(each, UninitializedParameter) for each in model.parameters()):
            warn_once(
                "The model has lazy layers without a size yet; their parameters are not counted. "
                "Set self.example_input_array, and the summary will give them one."
            )

    def summarize(self) -> "OrderedDict[str, LayerSummary]":
        """The layers by name."""
        return self._layers

    @property
    def named_modules(self) -> list[tuple[str, nn.Module]]:
        layers = list(self._model.named_modules())[1:]
        return layers if self._max_depth == -1 else [each for each in layers if each[0].count(".") < self._max_depth]

    @property
    def layer_names(self) -> list[str]:
        return list(self._layers)

    @property
    def layer_types(self) -> list[str]:
        return [layer.layer_type for layer in self._layers.values()]

    @property
    def in_sizes(self) -> list[Any]:
        return [layer.in_size or UNKNOWN_SIZE for layer in self._layers.values()]

    @property
    def out_sizes(self) -> list[Any]:
        return [layer.out_size or UNKNOWN_SIZE for layer in self._layers.values()]

    @property
    def param_nums(self) -> list[int]:
        return [layer.num_parameters for layer in self._layers.values()]

    @property
    def training_modes(self) -> list[bool]:
        return [layer.training for layer in self._layers.values()]

    @property
    def total_training_modes(self) -> dict[str, int]:
        """How many modules below the model are in train mode and in eval mode."""
        modes = [module.training for module in self._model.modules()][1:]
        return {"train": sum(modes), "eval": len(modes) - sum(modes)}

    @property
    def total_parameters(self) -> int:
        return count(self._model.parameters())

    @property
    def trainable_parameters(self) -> int:
        return count(each for each in self._model.parameters() if each.requires_grad)

    @property
    def total_layer_params(self) -> int:
        """The parameters that the rows hold; one that several rows share counts once."""
        unique = {id(each): each for layer in self._layers.values() for each in layer._module.parameters()}
        return count(unique.values())

    @property
    def model_size(self) -> float:
        """What the parameters take, in megabytes."""
        return sum(size(each) * each.element_size() for each in self._model.parameters() if size(each)) * 1e-6

    @property
    def total_flops(self) -> int:
        """Operations of one forward pass over the example; 0 without one."""
        return sum((self.flop_counts or {}).get("Global", {}).values())

    def _flops_of(self, name: str) -> int:
        return sum((self.flop_counts or {}).get(f"{type(self._model).__name__}.{name}", {}).values())

    def _try_example(self) -> None:
        example = getattr(self._model, "example_input_array", None)
        if example is None:
            return
        from torch.utils.flop_counter import FlopCounterMode  # late: only models with an example need it

        counter = FlopCounterMode(display=False)
        with _left_as_found(self._model), _precision_of(self._model) as convert, torch.no_grad(), counter:
            _call(self._model, convert(move_data_to_device(example, _device_of(self._model))))
        self.flop_counts = counter.get_flop_counts()

    def _get_summary_data(self) -> list[Column]:
        """The table as columns."""
        names, leftover = self.layer_names, self.total_parameters - self.total_layer_params
        columns: list[Column] = [
            (" ", [str(i) for i in range(len(names))]),
            ("Name", names),
            ("Type", self.layer_types),
            ("Params", [get_human_readable_count(each) for each in self.param_nums]),
            ("Mode", ["train" if each else "eval" for each in self.training_modes]),
        ]
        if self.flop_counts is not None:
            columns += [
                ("FLOPs", [get_human_readable_count(self._flops_of(name)) for name in names]),
                ("In sizes", [str(each) for each in self.in_sizes]),
                ("Out sizes", [str(each) for each in self.out_sizes]),
            ]
        if leftover > 0:
            known = {" ": " ", "Name": LEFTOVER_PARAMS_NAME, "Params": get_human_readable_count(leftover)}
            for header, cells in columns:
                cells.append(known.get(header, NOT_APPLICABLE))
        return columns

    def __str__(self) -> str:
        return format_summary(
            self._get_summary_data(),
            self.total_parameters,
            self.trainable_parameters,
            self.model_size,
            self.total_training_modes,
            self.total_flops,
        )

    __repr__ = __str__


def summarize(lightning_module: nn.Module, max_depth: int = 1) -> ModelSummary:
    """Summarise any module; ``print`` it for the table."""
    return ModelSummary(lightning_module, max_depth)


def format_summary(
    columns: list[Column],
    total_parameters: int,
    trainable_parameters: int,
    model_size: float,
    total_training_modes: dict[str, int],
    total_flops: int,
) -> str:
    """The table as text, the totals under it."""
    widths = [max(map(len, [header, *cells])) for header, cells in columns]
    lines = [" | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in _rows(columns)]
    rule = "-" * (max(map(len, lines)))
    totals = totals_of(total_parameters, trainable_parameters, model_size, total_training_modes, total_flops)
    return "\n".join([lines[0], rule, *lines[1:], rule, *(f"{value:<10}{what}" for what, value in totals)])


def _rows(columns: list[Column]) -> Iterator[tuple[str, ...]]:
    yield tuple(header for header, _ in columns)
    yield from zip(*(cells for _, cells in columns), strict=True)


def totals_of(
    total_parameters: int,
    trainable_parameters: int,
    model_size: float,
    total_training_modes: dict[str, int],
    total_flops: int,
) -> list[tuple[str, str]]:
    """The lines under the table: what is counted, and how many."""
    lines = [
        ("Trainable params", get_human_readable_count(trainable_parameters)),
        ("Non-trainable params", get_human_readable_count(total_parameters - trainable_parameters)),
        ("Total params", get_human_readable_count(total_parameters)),
        ("Total estimated model params size (MB)", get_formatted_model_size(model_size)),
        ("Modules in train mode", str(total_training_modes["train"])),
        ("Modules in eval mode", str(total_training_modes["eval"])),
    ]
    return [*lines, ("Total FLOPs", get_human_readable_count(total_flops))] if total_flops else lines


def get_human_readable_count(number: int) -> str:
    """``1234`` as "1.2 K", ``12345678`` as "12.3 M"; up to 999 as it is."""
    if number < 0 or not isinstance(number, int):
        raise ValueError(f"A count must be a whole number, 0 or more, not {number!r}.")
    unit = min(max((len(str(number)) - 1) // 3, 0), len(PARAMETER_NUM_UNITS) - 1)
    scaled = number / 1000**unit
    return f"{number} " + PARAMETER_NUM_UNITS[0] if not unit else _short(scaled) + " " + PARAMETER_NUM_UNITS[unit]


def _short(number: float) -> str:
    return f"{int(number):,d}" if number >= 100 else f"{number:,.1f}"


def get_formatted_model_size(total_model_size: float) -> str:
    return f"{total_model_size:,.3f}"


def size(parameter: Tensor) -> int:
    """The number of elements; 0 while a lazy layer has not seen its input."""
    return 0 if isinstance(parameter, UninitializedParameter) else parameter.numel()


def count(parameters: Any) -> int:
    return sum(size(each) for each in parameters)


def sizes_of(value: Any) -> str | list[Any]:
    """A tensor's shape, a list of them for a list or tuple, "?" for anything else."""
    if hasattr(value, "shape"):
        return list(value.shape)
    if isinstance(value, (list, tuple)):
        return [sizes_of(each) for each in value]
    return UNKNOWN_SIZE


def _device_of(model: nn.Module) -> torch.device:
    return next((each.device for each in model.parameters()), torch.device("cpu"))


def _call(model: nn.Module, example: Any) -> None:
    if isinstance(example, (list, tuple)):
        model(*example)
    elif isinstance(example, dict):
        model(**example)
    else:
        model(example)


@contextlib.contextmanager
def _left_as_found(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode and all random states are put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with isolate_rng():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _precision_of(model: nn.Module) -> Iterator[Any]:
    """The trainer's precision, if one is attached: its context, and how it converts an input."""
    trainer = getattr(model, "_trainer", None)
    precision = getattr(trainer, "precision_plugin", None)
    if precision is None:
        yield lambda example: example
        return
    with precision.forward_context():
        yield precision.convert_input
