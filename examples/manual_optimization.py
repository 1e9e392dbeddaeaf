"""A tiny GAN: two optimizers that take turns, so the module steps them itself."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fulgurite as pl


class GAN(pl.LightningModule):
    """Learns to draw numbers from a normal distribution of mean 4 and deviation 1.25."""

    def __init__(self, noise_dim=4, lr=0.005):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(noise_dim, 16), nn.ReLU(), nn.Linear(16, 1))
        self.critic = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def forward(self, count):
        return self.generator(torch.randn(count, self.hparams.noise_dim, device=self.device))

    def training_step(self, batch, batch_idx):
        (real,) = batch
        for_generator, for_critic = self.optimizers()

        self.toggle_optimizer(for_critic)
        fake = self(len(real)).detach()
        critic_loss = self.judge(real, is_real=True) + self.judge(fake, is_real=False)
        self.update(for_critic, critic_loss)
        self.untoggle_optimizer(for_critic)

        self.toggle_optimizer(for_generator)
        generator_loss = self.judge(self(len(real)), is_real=True)
        self.update(for_generator, generator_loss)
        self.untoggle_optimizer(for_generator)

        self.log_dict({"critic_loss": critic_loss, "generator_loss": generator_loss}, prog_bar=True)

    def judge(self, values, is_real):
        verdict = self.critic(values)
        return F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, float(is_real)))

    def update(self, optimizer, loss):
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def configure_optimizers(self):
        settings = {"lr": self.hparams.lr, "betas": (0.5, 0.999)}
        return [torch.optim.Adam(part.parameters(), **settings) for part in (self.generator, self.critic)]


def main():
    pl.seed_everything(0)
    real = 4 + 1.25 * torch.randn(2048, 1)
    model = GAN()
    trainer = pl.Trainer(max_epochs=20, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(real), batch_size=128, shuffle=True))
    with torch.no_grad():
        drawn = model(2000)
    print(f"real: mean 4.00; drawn: mean {drawn.mean():.2f} after {trainer.global_step} optimizer steps")


if __name__ == "__main__":
    main()
