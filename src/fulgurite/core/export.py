"""A trained module leaves for other runtimes: ONNX, `torch.export` and TorchScript."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write
from fulgurite.base.tree import move_data_to_device


class Exports:
    """What `LightningModule` can be turned into."""

    example_input_array: Any

    @torch.no_grad()
    def to_onnx(self, file_path: str | os.PathLike[str] | Any = None, input_sample: Any = None, **kwargs: Any) -> Any:
        """Export ``forward`` to ONNX and return what `torch.onnx.export` returns; ``kwargs`` go there.

        ``input_sample`` defaults to ``example_input_array``. Needs the extra ``[onnx]``.
        """
        require("onnx", extra="onnx")
        if kwargs.get("dynamo", True):
            require("onnxscript", extra="onnx")
        sample = self._sample(input_sample, "to_onnx(input_sample=...)")
        with evaluating(self):
            return torch.onnx.export(self, sample, file_path, **kwargs)  # type: ignore[arg-type]

    @torch.no_grad()
    def to_exported_program(
        self,
        file_path: str | os.PathLike[str] | None = None,
        input_sample: Any = None,
        dynamic_shapes: Any = None,
        **kwargs: Any,
    ) -> torch.export.ExportedProgram:
        """Return ``forward`` as `torch.export.export` sees it, and save it where ``file_path`` (``.pt2``) says.

        ``input_sample`` defaults to ``example_input_array``: a tuple is spread over the arguments of ``forward``, a
        dict names them. Every size is fixed but those in ``dynamic_shapes``, such as
        ``{"x": {0: torch.export.Dim("batch")}}`` for an argument ``x``. ``kwargs`` go to `torch.export.export`.
        ``torch.export.load(file_path).module()`` is the model again; it needs neither its class nor Fulgurite.
        """
        sample = self._sample(input_sample, "to_exported_program(input_sample=...)")
        named = sample[0] if len(sample) == 1 and isinstance(sample[0], dict) else {}
        with evaluating(self), detached(self):
            program = torch.export.export(
                self,  # type: ignore[arg-type]
                () if named else sample,
                named,
                dynamic_shapes=dynamic_shapes,
                **{"strict": False, **kwargs},
            )
        if file_path is not None:
            with atomic_write(file_path) as file:
                torch.export.save(program, file)
        return program

    def to_tensorrt(self, *args: Any, **kwargs: Any) -> Any:
        """Not supported; the error says how to get there with ``torch_tensorrt``."""
        raise NotImplementedError(
            "to_tensorrt is not supported. Compile what torch.export gives: "
            "`torch_tensorrt.dynamo.compile(module.to_exported_program(), inputs)`."
        )

    @torch.no_grad()
    def to_torchscript(
        self,
        file_path: str | os.PathLike[str] | None = None,
        method: str = "script",
        example_inputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return the module as TorchScript, by "script" or by "trace", and save it where ``file_path`` says."""
        if method not in ("script", "trace"):
            raise ValueError(f"to_torchscript(method={method!r}): choose 'script' or 'trace'.")
        with evaluating(self), detached(self):
            if method == "script":
                made = torch.jit.script(self, **kwargs)
            else:
                made = torch.jit.trace(
                    self, self._sample(example_inputs, "to_torchscript(example_inputs=...)"), **kwargs
                )
        if file_path is not None:
            torch.jit.save(made, str(file_path))
        return made

    def _sample(self, given: Any, argument: str) -> tuple[Any, ...]:
        sample = self.example_input_array if given is None else given
        if sample is None:
            raise ValueError(f"No input to export with: pass {argument} or set self.example_input_array.")
        sample = move_data_to_device(sample, self.device)  # type: ignore[attr-defined]
        return sample if isinstance(sample, tuple) else (sample,)


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes.items():
            child.training = mode


@contextmanager
def detached(module: Any) -> Iterator[None]:
    """Without a trainer: TorchScript would try to compile what it reaches."""
    kept: list[tuple[nn.Module, Any, Any]] = []
    for child in module.modules():
        if "_trainer" in child.__dict__:
            kept.append((child, child._trainer, child._moment))
            child._trainer = child._moment = None
    module._jit_is_scripting = True
    try:
        yield
    finally:
        del module._jit_is_scripting
        for child, trainer, moment in kept:
            child._trainer, child._moment = trainer, moment
