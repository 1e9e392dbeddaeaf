"""Which function is it? The training step calls one that is slow; its profile puts it at the top."""

import fulgurite as pl
from fulgurite.profilers import AdvancedProfiler
from fulgurite.testing import BoringModel


def penalty(model):
    """A sum in Python, one number at a time."""
    return sum(float(weight) ** 2 for _ in range(20) for weight in model.layer.weight.detach().flatten())


class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        return self.step(batch) + 1e-4 * penalty(self)


profiler = AdvancedProfiler(dirpath="reports", filename="functions", line_count_restriction=5)
trainer = pl.Trainer(
    profiler=profiler, max_epochs=1, limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Model())
_, _, report = open("reports/fit-functions.txt").read().partition("Profile stats for: [Strategy]")
print(report[: report.index("Profile stats for:")])
