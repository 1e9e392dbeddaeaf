"""The document's network: it rebuilds a row of numbers and learned embeddings; what it rebuilds badly is strange."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from fulgurite.anomaly.encoding import UNKNOWN
from fulgurite.core.module import LightningModule

LAYERS = (64, 128, 256, 128, 64)


class Layer(nn.Module):
    """Linear, batch normalisation if wanted, leaky ReLU."""

    def __init__(self, in_dim: int, out_dim: int, bn: bool = True) -> None:
        super().__init__()
        norm = [nn.BatchNorm1d(out_dim)] if bn else []
        self.block = nn.Sequential(nn.Linear(in_dim, out_dim), *norm, nn.LeakyReLU(0.1, inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Encoder(nn.Module):
    """From a row to the mean and log-variance of its place in the latent space, and the joined row itself.

    The loss compares the reconstruction with that joined row, embeddings included: its target is learned as well.
    """

    def __init__(
        self,
        embedding_sizes: Sequence[tuple[int, int]],
        continuous: int,
        layer_sizes: Sequence[int] = LAYERS,
        latent_dim: int = 16,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        # An unknown word gets zeros and keeps them: random numbers would look like an anomaly of their own.
        self.embeddings = nn.ModuleList(nn.Embedding(*size, padding_idx=UNKNOWN) for size in embedding_sizes)
        sizes = [sum(width for _, width in embedding_sizes) + continuous, *layer_sizes]
        self.layers = nn.Sequential(*(Layer(*pair, batch_norm) for pair in pairwise(sizes)))
        self.mu = nn.Linear(sizes[-1], latent_dim)
        self.logvar = nn.Linear(sizes[-1], latent_dim)

    def forward(self, x_cont: Tensor, x_cat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embedded = [embedding(x_cat[:, index]) for index, embedding in enumerate(self.embeddings)]
        x = torch.cat([*embedded, x_cont], dim=1)
        hidden = self.layers(x)
        return self.mu(hidden), self.logvar(hidden), x


class Decoder(nn.Module):
    """From a place in the latent space back to a joined row of ``width`` columns."""

    def __init__(
        self, width: int, layer_sizes: Sequence[int] = LAYERS, latent_dim: int = 16, batch_norm: bool = True
    ) -> None:
        super().__init__()
        sizes = [latent_dim, *reversed(layer_sizes)]
        self.layers = nn.Sequential(*(Layer(*pair, batch_norm) for pair in pairwise(sizes)))
        self.reconstructed = nn.Linear(sizes[-1], width)

    def forward(self, z: Tensor) -> Tensor:
        return self.reconstructed(self.layers(z))


class Judged(NamedTuple):
    """What the network says of each row of a batch."""

    parts: Tensor
    """(n, c + k + 1): of each continuous column, each categorical one, and the latent place; they sum to the loss."""
    rebuilt: Tensor
    """(n, c): the continuous columns as the network expected them, scaled."""


class VAE(LightningModule):
    """Trained on smooth-L1 reconstruction plus ``kld_beta`` times the divergence from a standard normal.

    Batches are (continuous, categorical, target) as a `Table` hands them out; the target is not looked at.
    """

    def __init__(
        self,
        embedding_sizes: Sequence[tuple[int, int]],
        continuous: int,
        layer_sizes: Sequence[int] = LAYERS,
        latent_dim: int = 16,
        batch_norm: bool = True,
        stdev: float = 0.1,
        kld_beta: float = 0.05,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.stdev, self.kld_beta = stdev, kld_beta
        self.widths = [width for _, width in embedding_sizes] + [1] * continuous
        self.encoder = Encoder(embedding_sizes, continuous, layer_sizes, latent_dim, batch_norm)
        self.decoder = Decoder(sum(self.widths), layer_sizes, latent_dim, batch_norm)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """A draw around ``mu`` while training, ``mu`` itself otherwise."""
        if not self.training:
            return mu
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std) * self.stdev

    def forward(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The reconstruction, the latent mean and log-variance, and the joined row that was to be rebuilt."""
        mu, logvar, x = self.encoder(batch[0], batch[1])
        return self.decoder(self.reparameterize(mu, logvar)), mu, logvar, x

    def losses(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The mean loss of a batch and its two terms: reconstruction and divergence."""
        rebuilt, mu, logvar, x = self(batch)
        recon_loss = smooth_l1_loss(rebuilt, x)
        kld = divergence(mu, logvar).mean()
        return recon_loss + self.kld_beta * kld, recon_loss, kld

    def judge(self, batch: Sequence[Tensor]) -> Judged:
        """The loss of each row, in parts; its mean over rows is the loss that ``test_step`` logs."""
        rebuilt, mu, logvar, x = self(batch)
        errors = smooth_l1_loss(rebuilt, x, reduction="none") / x.shape[1]
        columns = [group.sum(dim=1) for group in errors.split(self.widths, dim=1)]
        categories = len(self.encoder.embeddings)
        kld = self.kld_beta * divergence(mu, logvar).mean(dim=1)
        parts = torch.stack([*columns[categories:], *columns[:categories], kld], dim=1)
        return Judged(parts, rebuilt[:, rebuilt.shape[1] - len(columns) + categories :])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss, recon_loss, kld = self.losses(batch)
        self.log("total_loss", loss, prog_bar=True)
        self.log("recon_loss", recon_loss, prog_bar=True)
        self.log("kld", kld, prog_bar=True)
        return loss

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss, _, _ = self.losses(batch)
        self.log("test_loss", loss)
        return loss

    def configure_optimizers(self) -> tuple[list[Optimizer], list[CosineAnnealingWarmRestarts]]:
        settings = {"lr": self.hparams["lr"], "weight_decay": self.hparams["weight_decay"], "eps": 1e-4}
        optimizer = adamw(list(self.parameters()), **settings)
        return [optimizer], [CosineAnnealingWarmRestarts(optimizer, T_0=25, eta_min=1e-9)]


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """The Kullback-Leibler divergence from a standard normal, for each latent dimension."""
    return -0.5 * (1 + logvar - mu**2 - logvar.exp())


def adamw(parameters: list[nn.Parameter], **settings: Any) -> AdamW:
    """AdamW in one kernel where the device has it: the same mathematics in a fifth of the time on a CPU."""
    try:
        return AdamW(parameters, fused=True, **settings)
    except RuntimeError:
        return AdamW(parameters, **settings)
