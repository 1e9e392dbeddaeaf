"""Shows what the model makes of a few validation samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.seed import isolate_rng
from fulgurite.core.callback import Callback

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

INPUTS = ("x", "input", "inputs", "image", "images", "pixel_values")
TARGETS = ("y", "target", "targets", "label", "labels")
PREDICTIONS = ("prediction", "predictions", "pred", "preds", "y_hat", "y_pred", "output", "outputs", "logits")
LONGEST = 8  # numbers of one value that are written out


class LogPredictions(Callback):
    """Log inputs, targets and predictions of the first validation samples to every logger, at the training's step.

    The first ``num_samples`` of the first batch of loader ``dataloader_idx`` are logged under ``key``, every
    ``every_n_epochs`` epochs: ``as_="images"`` with target and prediction as caption (those that are pictures
    themselves stand beside the input), or ``as_="table"``; by default images if the inputs are such.

    ``split`` takes a batch and returns inputs and targets; by default they are the first and the second of a pair, or
    what a dict has under names like "x" and "y". ``prediction`` is the name of them in the dict that
    ``validation_step`` returns, or a function of ``(pl_module, batch, outputs)``. By default they are what
    ``validation_step`` returns if there is one for each sample, also in a dict under a name like "preds" or "logits";
    else the module is called with the inputs. Scores of classes become the class with the highest; ``class_names``
    names it.

    Raises `MisconfigurationException` without a logger, and in the sanity check if samples can't be made of a batch.
    """

    @checked
    def __init__(
        self,
        num_samples: int = 16,
        every_n_epochs: int = 1,
        key: str = "predictions",
        as_: Literal["images", "table"] | None = None,
        prediction: str | Callable[[Any, Any, Any], Any] | None = None,
        split: Callable[[Any], tuple[Any, Any]] | None = None,
        class_names: Sequence[str] | None = None,
        dataloader_idx: int = 0,
    ) -> None:
        for name, number in (("num_samples", num_samples), ("every_n_epochs", every_n_epochs)):
            if number < 1:
                raise MisconfigurationException(f"LogPredictions({name}={number!r}): expected 1 or more.")
        if as_ not in (None, "images", "table"):
            raise MisconfigurationException(f"LogPredictions(as_={as_!r}): expected 'images', 'table' or None.")
        self.num_samples, self.every_n_epochs, self.key, self.as_ = num_samples, every_n_epochs, key, as_
        self.prediction, self.split = prediction, split or _split
        self.class_names = list(class_names or ())
        self.dataloader_idx = dataloader_idx

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage in ("fit", "validate") and not trainer.loggers:
            raise MisconfigurationException(
                "LogPredictions needs a logger and the Trainer has none. "
                "Pass Trainer(logger=True) or a logger, or leave the callback out."
            )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if (
            batch_idx
            or dataloader_idx != self.dataloader_idx
            or not trainer.is_global_zero
            or not self._is_due(trainer)
        ):
            return
        columns = self._columns(pl_module, batch, outputs)
        if not trainer.sanity_checking:
            self._log(trainer, columns)

    def _is_due(self, trainer: Trainer) -> bool:
        in_fit = str(trainer.state.fn) == "fit"
        return not in_fit or trainer.sanity_checking or (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _columns(self, module: LightningModule, batch: Any, outputs: Any) -> dict[str, list[Any]]:
        """The samples as they are logged: "input", "target" where there is one, "prediction"."""
        inputs, targets = self.split(batch)
        columns = {"input": self._listed("input", inputs)}
        if targets is not None:
            columns["target"] = self._listed("target", targets)
        predicted = self._predicted(module, batch, outputs, inputs)
        if isinstance(predicted, Tensor) and isinstance(targets, Tensor):
            predicted = _classes(predicted, targets)
        columns["prediction"] = self._listed("prediction", predicted)
        lengths = {name: len(samples) for name, samples in columns.items()}
        if len(set(lengths.values())) > 1:
            raise MisconfigurationException(f"LogPredictions got different numbers of samples: {lengths}.")
        if self.as_ == "images" and not all(map(_is_picture, columns["input"])):
            raise MisconfigurationException(
                f"LogPredictions(as_='images'): the inputs of a batch are {_told(inputs)}, and a picture is (channels, "
                "height, width) or (height, width). Pass as_='table', or a split= that returns pictures."
            )
        return columns

    def _predicted(self, module: LightningModule, batch: Any, outputs: Any, inputs: Any) -> Any:
        if callable(self.prediction):
            return self.prediction(module, batch, outputs)
        if self.prediction is not None:
            if not isinstance(outputs, Mapping) or self.prediction not in outputs:
                raise MisconfigurationException(
                    f"LogPredictions(prediction={self.prediction!r}): validation_step returned {_told(outputs)}. "
                    f"Let it return a dict with {self.prediction!r}, or pass a function of (pl_module, batch, outputs)."
                )
            return outputs[self.prediction]
        found = outputs
        if isinstance(outputs, Mapping):
            found = next((outputs[name] for name in PREDICTIONS if name in outputs), None)
        if _length(found) is not None and _length(found) == _length(inputs):
            return found
        few = inputs[: self.num_samples] if isinstance(inputs, Tensor) else inputs
        try:
            with torch.no_grad(), isolate_rng():
                return module(few)
        except NotImplementedError as error:
            raise MisconfigurationException(
                f"LogPredictions has no predictions: validation_step returned {_told(outputs)}, and the module has no "
                "forward to call. Return them from validation_step, or pass prediction=."
            ) from error

    def _listed(self, name: str, values: Any) -> list[Any]:
        if _length(values) is None:
            raise MisconfigurationException(
                f"LogPredictions can't take samples from the {name}s, which are {_told(values)}: it needs a tensor or "
                "a list with one entry per sample. Pass split= (for inputs and targets) or prediction=, a function of "
                "(pl_module, batch, outputs)."
            )
        first = values[: self.num_samples]
        samples = list(first.detach().cpu()) if isinstance(first, Tensor) else list(first)
        return samples if name == "input" else [self._named(sample) for sample in samples]

    def _named(self, sample: Any) -> Any:
        """The name of a class that is told by its number; all else as it is."""
        whole = (
            isinstance(sample, int) or isinstance(sample, Tensor) and sample.ndim == 0 and not _has_fractions(sample)
        )
        return self.class_names[int(sample)] if whole and 0 <= int(sample) < len(self.class_names) else sample

    def _log(self, trainer: Trainer, columns: dict[str, list[Any]]) -> None:
        step = trainer.batches_that_stepped
        if self.as_ == "images" or self.as_ is None and all(map(_is_coloured, columns["input"])):
            pictures, captions = _captioned(columns)
            for logger in trainer.loggers:
                logger.log_image(self.key, pictures, step=step, caption=captions)
            return
        rows = [[_cell(value) for value in row] for row in zip(*columns.values(), strict=True)]
        for logger in trainer.loggers:
            logger.log_table(self.key, columns=list(columns), data=rows, step=step)


def _split(batch: Any) -> tuple[Any, Any]:
    """A pair's two parts, or what a dict has under the usual names; else all of the batch, and no target."""
    if isinstance(batch, Mapping):
        inputs = next((batch[name] for name in INPUTS if name in batch), None)
        return inputs, next((batch[name] for name in TARGETS if name in batch), None)
    if isinstance(batch, list | tuple) and batch and not isinstance(batch[0], str):
        return batch[0], batch[1] if len(batch) > 1 else None
    return batch, None


def _classes(predicted: Tensor, targets: Tensor) -> Tensor:
    """The best class of each sample where ``predicted`` holds scores of classes and ``targets`` the classes."""
    scores = predicted.ndim == targets.ndim + 1 and targets.ndim == 1 and predicted.shape[1] > 1
    return predicted.argmax(1) if scores and _has_fractions(predicted) and not _has_fractions(targets) else predicted


def _captioned(columns: dict[str, list[Any]]) -> tuple[list[Tensor], list[str]]:
    """Each sample's pictures side by side, and the rest as its caption."""
    pictures, captions = [], []
    for values in zip(*columns.values(), strict=True):
        sample = dict(zip(columns, values, strict=True))
        first = _channels(sample.pop("input"))
        beside = {name: _channels(value) for name, value in sample.items() if _is_picture(value)}
        fitting = beside if _join(first, *beside.values()) else {}
        deepest = max(value.shape[0] for value in (first, *fitting.values()))
        side_by_side = [_deep(value, deepest) for value in (first, *fitting.values())]
        pictures.append(torch.cat(side_by_side, dim=2) if fitting else first)
        order = [f"left to right: {', '.join(['input', *fitting])}"] if fitting else []
        told = [f"{name}: {_cell(value)}" for name, value in sample.items() if name not in fitting]
        captions.append(", ".join(told + order))
    return pictures, captions


def _join(*pictures: Tensor) -> bool:
    """Whether the pictures can stand side by side: as high as each other, and as deep or grey."""
    return len({each.shape[1] for each in pictures}) == 1 and len({each.shape[0] for each in pictures} - {1}) <= 1


def _channels(picture: Tensor) -> Tensor:
    return picture[None] if picture.ndim == 2 else picture


def _deep(picture: Tensor, channels: int) -> Tensor:
    """With so many channels, and in fractions, so that pictures can be joined."""
    shares = picture.float() if _has_fractions(picture) else picture.float() / 255
    return shares.expand(channels, -1, -1) if picture.shape[0] == 1 else shares


def _is_coloured(sample: Any) -> bool:
    """Whether a sample is a picture beyond doubt: it has channels."""
    return isinstance(sample, Tensor) and sample.ndim == 3 and sample.shape[0] in (1, 3, 4)


def _is_picture(sample: Any) -> bool:
    return _is_coloured(sample) or isinstance(sample, Tensor) and sample.ndim == 2 and min(sample.shape) > 1


def _has_fractions(value: Tensor) -> bool:
    return value.is_floating_point()


def _length(values: Any) -> int | None:
    """The number of samples; None where that can't be told."""
    if isinstance(values, Tensor):
        return len(values) if values.ndim else None
    return len(values) if isinstance(values, list | tuple) else None


def _cell(value: Any) -> Any:
    """A value as a cell of a table or a part of a caption: pictures stay, few numbers are rounded, many are told."""
    if not isinstance(value, Tensor) or _is_coloured(value):
        return value
    if value.numel() == 1:
        return _rounded(value.item())
    if value.numel() <= LONGEST:
        return str([_rounded(number) for number in value.flatten().tolist()])
    return _told(value)


def _rounded(number: Any) -> Any:
    return float(f"{number:.4g}") if isinstance(number, float) else number


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor ({', '.join(map(str, value.shape))})"
    return f"a dict with {', '.join(map(str, value))}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
