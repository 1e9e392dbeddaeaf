"""Which operators run? Three steps are recorded: a table, and a trace to open at https://ui.perfetto.dev."""

from pathlib import Path

import fulgurite as pl
from fulgurite.profilers import PyTorchProfiler
from fulgurite.testing import BoringModel

profiler = PyTorchProfiler(dirpath="reports", filename="operators", row_limit=8, sort_by_key="cpu_time_total")
trainer = pl.Trainer(
    profiler=profiler, max_epochs=1, limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(BoringModel())
print(Path("reports/fit-operators.txt").read_text())
print("traces:", *sorted(path.name for path in Path("reports").glob("*.json")))
