"""The VAE: it learns to rebuild a row of values and calendar embeddings; what it rebuilds badly is strange."""

from argparse import Namespace

import torch
import torch.nn.functional as F
from data import UNKNOWN, TsDataset
from torch import nn
from torch.utils.data import DataLoader

import fulgurite as pl


class Layer(nn.Module):
    """Linear, batch normalisation if wanted, leaky ReLU."""

    def __init__(self, in_dim, out_dim, bn=True):
        super().__init__()
        norm = [nn.BatchNorm1d(out_dim)] if bn else []
        self.block = nn.Sequential(nn.Linear(in_dim, out_dim), *norm, nn.LeakyReLU(0.1, inplace=True))

    def forward(self, x):
        return self.block(x)


def stack(sizes, bn):
    return nn.Sequential(*[Layer(*pair, bn) for pair in zip(sizes, sizes[1:], strict=False)])


class Encoder(nn.Module):
    """From a row to the mean and log-variance of its place in the latent space.

    Returns the joined input as well: the loss compares the reconstruction with it, learned embeddings included.
    """

    def __init__(self, **hparams):
        super().__init__()
        self.hparams = Namespace(**hparams)
        # A category that was never trained gets zeros: random numbers would look like an anomaly of their own.
        self.embeddings = nn.ModuleList(
            nn.Embedding(*size, padding_idx=UNKNOWN) for size in self.hparams.embedding_sizes
        )
        in_dim = sum(width for _, width in self.hparams.embedding_sizes) + len(self.hparams.cont_vars)
        sizes = [in_dim] + [int(size) for size in self.hparams.layer_sizes.split(",")]
        self.layers = stack(sizes, self.hparams.batch_norm)
        self.mu = nn.Linear(sizes[-1], self.hparams.latent_dim)
        self.logvar = nn.Linear(sizes[-1], self.hparams.latent_dim)

    def forward(self, x_cont, x_cat):
        embedded = [embedding(x_cat[:, i]) for i, embedding in enumerate(self.embeddings)]
        x = torch.cat([*embedded, x_cont], dim=1)
        h = self.layers(x)
        return self.mu(h), self.logvar(h), x


class Decoder(nn.Module):
    """From a place in the latent space back to a row."""

    def __init__(self, **hparams):
        super().__init__()
        self.hparams = Namespace(**hparams)
        sizes = [self.hparams.latent_dim] + [int(size) for size in reversed(self.hparams.layer_sizes.split(","))]
        out_dim = sum(width for _, width in self.hparams.embedding_sizes) + len(self.hparams.cont_vars)
        self.layers = stack(sizes, self.hparams.batch_norm)
        self.reconstructed = nn.Linear(sizes[-1], out_dim)

    def forward(self, z):
        return self.reconstructed(self.layers(z))


class VAE(pl.LightningModule):
    """Trained on reconstruction plus ``kld_beta`` times the divergence from a standard normal."""

    def __init__(self, **hparams):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = Encoder(**hparams)
        self.decoder = Decoder(**hparams)

    def _reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std) * self.hparams.stdev

    def forward(self, batch):
        x_cont, x_cat, _ = batch
        mu, logvar, x = self.encoder(x_cont, x_cat)
        recon = self.decoder(self._reparameterize(mu, logvar))
        return recon, mu, logvar, x

    def loss_function(self, ground_truth, preds, mu, logvar):
        recon_loss = F.smooth_l1_loss(preds, ground_truth, reduction="mean")
        kld = -0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())
        return recon_loss, kld

    def score(self, batch):
        """Return one loss per row and the part of it that `value` alone makes; higher is stranger.

        The mean of the first is the test loss. Columns are joined as embeddings, then `value`, then the others.
        """
        recon, mu, logvar, x = self(batch)
        errors = F.smooth_l1_loss(recon, x, reduction="none")
        kld = -0.5 * (1 + logvar - mu**2 - logvar.exp()).mean(dim=1)
        value_column = sum(width for _, width in self.hparams.embedding_sizes)
        return errors.mean(dim=1) + self.hparams.kld_beta * kld, errors[:, value_column] / x.shape[1]

    def training_step(self, batch, batch_idx):
        recon, mu, logvar, x = self(batch)
        recon_loss, kld = self.loss_function(x, recon, mu, logvar)
        loss = recon_loss + self.hparams.kld_beta * kld
        self.log("total_loss", loss, on_step=True, prog_bar=True, logger=True)
        self.log("recon_loss", recon_loss, on_step=True, prog_bar=True, logger=True)
        self.log("kld", kld, on_step=True, prog_bar=True, logger=True)
        return loss

    def test_step(self, batch, batch_idx):
        recon, mu, logvar, x = self(batch)
        recon_loss, kld = self.loss_function(x, recon, mu, logvar)
        loss = recon_loss + self.hparams.kld_beta * kld
        self.log("test_loss", loss)
        return loss

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay, eps=1e-4)
        sch = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=25, T_mult=1, eta_min=1e-9)
        return [opt], [sch]

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def test_dataloader(self):
        return self._loader("test", shuffle=False)

    def _loader(self, split, shuffle):
        dataset = TsDataset(
            split,
            data_folder_path=self.hparams.data_folder_path,
            cont_vars=self.hparams.cont_vars,
            cat_vars=self.hparams.cat_vars,
            lbl_as_feat=True,
        )
        return DataLoader(
            dataset,
            batch_size=self.hparams.batch_size,
            shuffle=shuffle,
            num_workers=2,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=True,
        )
