"""The hooks of a module that a run fires; all do nothing, or the one plain thing, until they are overridden."""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class ModelHooks:
    """Hooks around runs, epochs, batches, and the optimizer's step. Callbacks have the same ones and come first."""

    def on_fit_start(self) -> None:
        """Model and optimizers stand; nothing has run yet."""

    def on_fit_end(self) -> None:
        """Training is over and the model is back where it came from."""

    def on_train_start(self) -> None:
        """After the sanity check, before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch."""

    def on_train_epoch_start(self) -> None:
        """Before the first batch of an epoch."""

    def on_train_epoch_end(self) -> None:
        """After the last batch and its validation; what is logged here is seen by checkpoints and early stopping."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Before the step. Return -1 to skip the rest of the epoch."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After the step; ``outputs`` is a dict with the detached "loss" and what ``training_step`` returned beside."""

    def on_validation_start(self) -> None:
        """Before a validation, the sanity check included."""

    def on_validation_end(self) -> None:
        """After a validation and its rows."""

    def on_validation_epoch_start(self) -> None:
        """Before the first validation batch."""

    def on_validation_epoch_end(self) -> None:
        """After the last validation batch; log what the whole pass amounts to."""

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before ``validation_step``."""

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After ``validation_step``; ``outputs`` is what it returned."""

    def on_test_start(self) -> None:
        """Before a test."""

    def on_test_end(self) -> None:
        """After a test and its rows."""

    def on_test_epoch_start(self) -> None:
        """Before the first test batch."""

    def on_test_epoch_end(self) -> None:
        """After the last test batch."""

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before ``test_step``."""

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After ``test_step``; ``outputs`` is what it returned."""

    def on_predict_start(self) -> None:
        """Before a prediction."""

    def on_predict_end(self) -> None:
        """After a prediction."""

    def on_predict_epoch_start(self) -> None:
        """Before the first batch to predict."""

    def on_predict_epoch_end(self) -> None:
        """After the last batch to predict."""

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Before ``predict_step``."""

    def on_predict_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """After ``predict_step``; ``outputs`` is what it returned."""

    def on_validation_model_zero_grad(self) -> None:
        """Before a validation inside training: frees the gradients' memory."""
        self.zero_grad()  # type: ignore[attr-defined]

    def on_validation_model_eval(self) -> None:
        """Put the model into evaluation mode for validation."""
        self.trainer.model.eval()  # type: ignore[attr-defined]

    def on_validation_model_train(self) -> None:
        """Put the model back after validation; without an override every sub-module gets the mode it had."""
        self.trainer.model.train()  # type: ignore[attr-defined]

    def on_test_model_eval(self) -> None:
        """Put the model into evaluation mode for a test."""
        self.trainer.model.eval()  # type: ignore[attr-defined]

    def on_test_model_train(self) -> None:
        """Put the model back after a test; without an override every sub-module gets the mode it had."""
        self.trainer.model.train()  # type: ignore[attr-defined]

    def on_predict_model_eval(self) -> None:
        """Put the model into evaluation mode for a prediction."""
        self.trainer.model.eval()  # type: ignore[attr-defined]

    def on_before_zero_grad(self, optimizer: Optimizer) -> None:
        """Before gradients are cleared, once an accumulation window."""

    def on_before_backward(self, loss: Tensor) -> None:
        """Before ``backward``; ``loss`` is divided by the accumulation factor."""

    def on_after_backward(self) -> None:
        """After ``backward``; gradients may still be scaled."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete and unscaled; look at them here."""

    def configure_model(self) -> None:
        """Build or shard the model late; may be called more than once and must then do nothing."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be written; add your own keys to ``checkpoint``."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint was read; called before the weights are loaded."""
