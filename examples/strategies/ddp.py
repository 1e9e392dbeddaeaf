import fulgurite as pl
from fulgurite.strategies import DDPStrategy
from fulgurite.testing import QUIET, TinyModule, batches

if __name__ == "__main__":
    model = TinyModule()
    trainer = pl.Trainer(**{**QUIET, "max_epochs": 1, "devices": 2, "strategy": DDPStrategy(bucket_cap_mb=5)})
    trainer.fit(model, batches(8))
    # Both processes come here. `print` of the Trainer speaks for rank 0.
    trainer.print(f"{trainer.world_size} processes took {trainer.global_step} steps together")
