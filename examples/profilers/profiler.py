"""A profiler of your own needs `start` and `stop`. This one notes the slowest call of each action."""

import time

import fulgurite as pl
from fulgurite.profilers import Profiler
from fulgurite.testing import BoringModel


class Slowest(Profiler):
    def __init__(self):
        super().__init__()
        self.begun, self.slowest = {}, {}

    def start(self, action_name):
        self.begun[action_name] = time.perf_counter()

    def stop(self, action_name):
        took = time.perf_counter() - self.begun[action_name]
        self.slowest[action_name] = max(took, self.slowest.get(action_name, 0))

    def summary(self):
        rows = sorted(self.slowest.items(), key=lambda row: -row[1])
        return "\n".join(f"{1000 * took:9.3f} ms  {action}" for action, took in rows)


profiler = Slowest()
trainer = pl.Trainer(
    profiler=profiler, max_epochs=1, limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(BoringModel())
print(profiler.summary())
