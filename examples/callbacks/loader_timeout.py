"""A file server that no longer answers: the error says who waits, and what was learnt is saved."""

import time

import torch
from torch.utils.data import DataLoader, Dataset

import fulgurite as pl
from fulgurite.callbacks import LoaderTimeout, ModelCheckpoint
from fulgurite.testing import BoringModel


class Remote(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        if index == 40:
            time.sleep(3600)
        return torch.randn(32)


pl.seed_everything(0)
saves = ModelCheckpoint("kept", save_last=True)
trainer = pl.Trainer(max_epochs=1, callbacks=[LoaderTimeout(1), saves], logger=False,
                     enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
try:
    trainer.fit(BoringModel(), DataLoader(Remote(), batch_size=4, num_workers=1))
except TimeoutError as error:
    print(str(error).splitlines()[0])
    print(error.__notes__[0])
print(f"saved after {torch.load(saves.last_model_path)['global_step']} steps")
