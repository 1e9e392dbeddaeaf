"""The network of the window model: a VAE of windows, told the calendar instead of having to rebuild it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from fulgurite.core.module import LightningModule

Batch = tuple[Tensor, Tensor, Tensor]


class WindowNetwork(LightningModule):
    """Rebuilds windows (n, c, w) of which the last rows may be hidden.

    A row that is hidden cannot explain itself, so that what is rebuilt in its place is what was expected there. Some
    of the last rows are hidden from most windows in training, and exactly the last one when rows are judged.

    ``conditions`` is the number of numbers that the calendar gives for a window's last row, ``words`` the number of
    codes of each category, where 0 is unknown; in training some words are made unknown, so that it is a known state.
    """

    def __init__(
        self,
        columns: int,
        window: int,
        conditions: int,
        words: Sequence[int] = (),
        hidden: Sequence[int] = (128, 64),
        latent: int = 8,
        kld_beta: float = 0.05,
        lr: float = 2e-3,
        steps: int = 1500,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.columns, self.window, self.conditions = columns, window, conditions
        self.hideable = 2 * max(4, window // 8)
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(8, size)) for size in words)
        told = conditions + sum(min(8, size) for size in words)
        self.encoder = _layers([columns * window + self.hideable + told, *hidden])
        self.mean, self.log_variance = nn.Linear(hidden[-1], latent), nn.Linear(hidden[-1], latent)
        self.decoder = _layers([latent + told, *reversed(hidden)])
        self.rebuilt = nn.Linear(hidden[0], columns * window)

    def forward(self, windows: Tensor, shown: Tensor, conditions: Tensor, codes: Tensor) -> Batch:
        """Rebuilt windows, means and log-variances; ``shown`` (n, h) is 0 for the hidden of the last h rows."""
        told = torch.cat([conditions, *(each(codes[:, i]) for i, each in enumerate(self.embeddings))], dim=1)
        open_rows = windows[:, :, : self.window - self.hideable]
        masked = windows[:, :, self.window - self.hideable :] * shown[:, None, :]
        seen = torch.cat([open_rows.flatten(1), masked.flatten(1), shown, told], dim=1)
        features = self.encoder(seen)
        mean, log_variance = self.mean(features), self.log_variance(features).clamp(-10, 10)
        place = mean
        if self.training:
            place = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.rebuilt(self.decoder(torch.cat([place, told], dim=1))).view_as(windows), mean, log_variance

    def expect(self, windows: Tensor, conditions: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The last row (n, c) as the rows before let expect it, and the divergence (n,) of the windows' places."""
        shown = torch.ones_like(windows[:, 0, -self.hideable :])
        shown = shown * (torch.arange(self.hideable, device=windows.device) < self.hideable - 1)
        rebuilt, mean, log_variance = self(windows, shown, conditions, codes)
        return rebuilt[:, :, -1], divergence(mean, log_variance).clamp(min=0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        windows, conditions, codes = batch
        rebuilt, mean, log_variance = self(windows, self._shown(windows), conditions, self._some_unknown(codes))
        recon_loss = smooth_l1_loss(rebuilt, windows)
        kld = divergence(mean, log_variance).mean()
        loss = recon_loss + self.hparams.kld_beta * kld
        self.log_dict({"loss": loss, "recon_loss": recon_loss, "kld": kld}, prog_bar=True)
        return loss

    def _shown(self, windows: Tensor) -> Tensor:
        """Seven windows in ten have a random number of their last rows hidden."""
        size, device = (len(windows), 1), windows.device
        hide = torch.randint(0, self.hideable, size, device=device) * (torch.rand(size, device=device) < 0.7)
        return (torch.arange(self.hideable, device=device) < self.hideable - hide).float()

    def _some_unknown(self, codes: Tensor) -> Tensor:
        return codes * (torch.rand(codes.shape, device=codes.device) > 0.05) if codes.shape[1] else codes

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.lr, eps=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.hparams.lr, total_steps=self.hparams.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Windows:
    """A loader of random windows: ``steps`` batches in each of the epochs.

    ``windows`` (n, c, w), ``conditions`` (n, k) and ``codes`` (n, m) are drawn from, at the ``places`` alone.
    """

    def __init__(
        self, windows: Tensor, conditions: Tensor, codes: Tensor, places: Tensor, size: int, steps: int
    ) -> None:
        self.windows, self.conditions, self.codes = windows, conditions, codes
        self.places, self.size, self.steps = places, size, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.steps):
            drawn = self.places[torch.randint(len(self.places), (self.size,))]
            yield self.windows[drawn], self.conditions[drawn], self.codes[drawn]


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The Kullback-Leibler divergence from a standard normal, its mean over the latent dimensions (n,), in nats."""
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean(dim=1)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    pairs = zip(sizes, sizes[1:], strict=False)
    return nn.Sequential(*(module for pair in pairs for module in (nn.Linear(*pair), nn.LeakyReLU(0.1))))
