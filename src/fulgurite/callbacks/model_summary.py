"""Show what a model is made of when training begins."""

from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import checked
from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_info
from fulgurite.core.callback import Callback
from fulgurite.core.summary import Column, format_summary, totals_of
from fulgurite.core.summary import ModelSummary as Summary

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class ModelSummary(Callback):
    """Print the layers down to ``max_depth`` (1: the children, -1: all) and the totals. 0 prints nothing.

    Override ``summarize`` to show them otherwise; it gets ``summarize_kwargs`` too.
    """

    @checked
    def __init__(self, max_depth: int = 1, **summarize_kwargs: Any) -> None:
        self._max_depth = max_depth
        self._summarize_kwargs = summarize_kwargs

    def on_fit_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if not self._max_depth:
            return
        summary = self._summary(trainer, pl_module)
        if trainer.is_global_zero:
            self.summarize(
                summary._get_summary_data(),
                summary.total_parameters,
                summary.trainable_parameters,
                summary.model_size,
                summary.total_training_modes,
                total_flops=summary.total_flops,
                **self._summarize_kwargs,
            )

    def _summary(self, trainer: "Trainer", pl_module: "LightningModule") -> Summary:
        return Summary(pl_module, max_depth=self._max_depth)

    @staticmethod
    def summarize(
        summary_data: list[Column],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        """Print the table. ``summary_data`` holds (header, cells) pairs, sizes are in megabytes."""
        numbers = (total_parameters, trainable_parameters, model_size, total_training_modes, total_flops)
        rank_zero_info("\n" + format_summary(summary_data, *numbers))


class RichModelSummary(ModelSummary):
    """The same as a rich table; further arguments go to ``rich.table.Table``."""

    @checked
    def __init__(self, max_depth: int = 1, **summarize_kwargs: Any) -> None:
        require("rich", "rich")
        super().__init__(max_depth, **summarize_kwargs)

    @staticmethod
    def summarize(
        summary_data: list[Column],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        from rich import get_console
        from rich.table import Table

        table = Table(**{"header_style": "bold magenta", **summarize_kwargs})
        for header, _ in summary_data:
            numeric = header in ("Params", "FLOPs", "In sizes", "Out sizes")
            table.add_column(header, justify="right" if numeric else "left", style="dim" if header == " " else "")
        for row in zip(*(cells for _, cells in summary_data), strict=True):
            table.add_row(*row)
        totals = Table.grid(padding=(0, 2))
        for what, number in totals_of(
            total_parameters, trainable_parameters, model_size, total_training_modes, total_flops
        ):
            totals.add_row(f"[bold]{what}[/]", number)
        # One by one: of several in one call the last lacks the end of its line.
        get_console().print(table)
        get_console().print(totals)
