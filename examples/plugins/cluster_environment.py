"""Which environment a process is in, and one for a launcher of one's own."""

import os

import fulgurite as pl
from fulgurite.plugins.environments import LightningEnvironment, choose_environment

print("here:", type(choose_environment()).__name__)


class Numbered(LightningEnvironment):
    """A launcher that sets MY_RANK and MY_SIZE in each process, all on one machine."""

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return int(os.environ["MY_SIZE"])

    def global_rank(self) -> int:
        return int(os.environ["MY_RANK"])

    def local_rank(self) -> int:
        return self.global_rank()


os.environ.update(MY_RANK="1", MY_SIZE="4", MASTER_PORT="29500")
trainer = pl.Trainer(plugins=[Numbered()], accelerator="cpu", logger=False, enable_progress_bar=False)
mine = trainer.strategy.cluster_environment
print(f"process {mine.global_rank()} of {mine.world_size()}, which meet at {mine.main_address}:{mine.main_port}")
