"""A small transformer, trained in one way or another, alone or by several ranks: `run` says what to do in words."""

import io
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import Callback, LightningModule, Trainer, seed_everything
from fulgurite.base.tree import move_data_to_device
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.plugins import AsyncCheckpointIO
from fulgurite.strategies import FSDPStrategy, ModelParallelStrategy
from support.ranks import on_ranks

WORDS, WIDTH = 13, 8
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
}


class Block(nn.Module):
    """Attention is left out: what is looked at is how weights travel."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Words(LightningModule):
    """Guesses the next word."""

    def __init__(self, lr=0.05, optimizer="adamw", meta=False):
        super().__init__()
        self.save_hyperparameters()
        self.seen = []
        if not meta:
            self.build()

    def build(self):
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(WIDTH, WORDS)

    def configure_model(self):
        if self.hparams.meta and not hasattr(self, "embed"):
            with torch.device("meta"):
                self.build()

    def forward(self, words):
        x = self.embed(words)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def loss(self, batch):
        words = batch[0]
        return nn.functional.cross_entropy(self(words[:, :-1]).flatten(0, 1).float(), words[:, 1:].flatten())

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen += batch[1].tolist()
        self.log("val_loss", self.loss(batch), sync_dist=True)

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return batch[1], self(batch[0][:, :-1]).argmax(-1)

    def configure_optimizers(self):
        kind = {"adamw": torch.optim.AdamW, "sgd": partial(torch.optim.SGD, momentum=0.9)}[self.hparams.optimizer]
        return kind(self.parameters(), lr=self.hparams.lr)


class Thaws(Words):
    """Its blocks learn in every second epoch only."""

    def on_train_epoch_start(self):
        self.blocks.requires_grad_(self.current_epoch % 2 == self.hparams.first)

    def __init__(self, first=1, **arguments):
        super().__init__(**arguments)
        self.save_hyperparameters()


class ByHand(Words):
    """Two optimizers, each with a step of its own in every batch."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            self.clip_gradients(optimizer, 0.3, "norm")
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.blocks, self.head)]


class Rivals(Words):
    """One part makes a picture of a word that another can't tell from the word's own, each in a turn of its own.

    ``ways`` has a word for each turn: "toggle" lets only the part train whose turn it is, "late" steps after both.
    """

    def __init__(self, ways=("toggle", "toggle"), root=False, **arguments):
        self.ways, self.root = ways, root
        super().__init__(**arguments)
        self.automatic_optimization = False

    def build(self):
        super().build()
        self.maker = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.judge = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def configure_model(self):
        from torch.distributed.fsdp import FSDPModule, fully_shard

        names = () if self.device_mesh is None else self.device_mesh.mesh_dim_names
        if "data_parallel" in names and not isinstance(self.maker, FSDPModule):
            for part in (self.maker, self.judge, *([self] if self.root else (self.embed, *self.blocks, self.head))):
                fully_shard(part, mesh=self.device_mesh["data_parallel"])

    def training_step(self, batch, batch_idx):
        maker, judge = self.optimizers()
        seen = batch[0].float() / WORDS
        noise, real = seen[:, :1].cos().expand(-1, WIDTH), nn.functional.pad(seen, (0, WIDTH - seen.shape[1]))
        with self.turn(judge, self.ways[0]):
            made = self.maker(noise).detach()
            self.manual_backward(nn.functional.softplus(self.judge(made) - self.judge(real)).mean().float())
        with self.turn(maker, self.ways[1]):
            self.manual_backward(nn.functional.softplus(-self.judge(self.maker(noise))).mean().float())
            if self.ways[1] == "late":
                self.maker(noise).detach()

    @contextmanager
    def turn(self, optimizer, way):
        if way == "toggle":
            self.toggle_optimizer(optimizer)
        yield
        optimizer.step()
        for each in self.optimizers():
            each.zero_grad()
        if way == "toggle":
            self.untoggle_optimizer(optimizer)

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.3, momentum=0.9) for part in (self.maker, self.judge)]


class SaveAt(Callback):
    """Saves after one batch of the first epoch, wherever an accumulation window stands."""

    def __init__(self, batch, path):
        self.batch, self.path = batch, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 0 and batch_idx == self.batch:
            trainer.save_checkpoint(self.path)


class TensorWords(Words):
    """The same, with its blocks cut over the tensor-parallel dimension and the rest over the other."""

    def configure_model(self):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import DTensor
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

        if self.device_mesh is None or isinstance(self.blocks[0].up.weight, DTensor):
            return  # it is called once for each fit, validate, ...
        for block in self.blocks:
            parallelize_module(
                block, self.device_mesh["tensor_parallel"], {"up": ColwiseParallel(), "down": RowwiseParallel()}
            )
        if self.device_mesh["data_parallel"].size() > 1:
            for block in self.blocks:
                fully_shard(block, mesh=self.device_mesh["data_parallel"])
            fully_shard(self, mesh=self.device_mesh["data_parallel"])


def words(count, size, shuffle=False):
    given = torch.Generator().manual_seed(3)
    data = TensorDataset(torch.randint(0, WORDS, (count, 6), generator=given), torch.arange(count))
    return DataLoader(data, batch_size=size, shuffle=shuffle)


def strategy_of(wanted):
    if not isinstance(wanted, dict):
        return wanted
    wanted = dict(wanted)
    kind = wanted.pop("kind", "fsdp")
    if wanted.pop("wrap", False):
        wanted["auto_wrap_policy"] = {Block}
    if wanted.pop("recompute", False):
        wanted["activation_checkpointing_policy"] = {Block}
    if "bf16" in wanted:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        wanted.pop("bf16")
        wanted["mixed_precision"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    return {"fsdp": FSDPStrategy, "model_parallel": ModelParallelStrategy}[kind](**wanted)


def run(wanted):
    """Do what ``wanted`` says, and return what came of it.

    "do" lists verbs of a Trainer; "size" and "count" are those of the train data, "left" lists how many samples each
    validation loader has, "predict" how many there are to predict.
    """
    seed_everything(1)
    kind = {"words": Words, "tensor": TensorWords, "by hand": ByHand, "rivals": Rivals, "thaws": Thaws}[
        wanted.get("model", "words")
    ]
    callbacks = [ModelCheckpoint(**wanted["checkpoints"])] if "checkpoints" in wanted else []
    callbacks += [SaveAt(*wanted["save_at"])] if "save_at" in wanted else []
    more = {**QUIET, **wanted.get("trainer", {})}
    if "checkpoints" in wanted:
        more.pop("enable_checkpointing")
    if wanted.get("behind"):
        more["plugins"] = [AsyncCheckpointIO()]
    trainer = Trainer(callbacks=callbacks, strategy=strategy_of(wanted.get("strategy", "auto")), **more)
    if wanted.get("other_seeds"):
        seed_everything(trainer.global_rank)
    model = kind(**wanted.get("arguments", {}))
    size, count, found = wanted.get("size", 4), wanted.get("count", 16), {}
    for verb in wanted["do"]:
        if verb == "fit":
            trainer.fit(model, words(count, size, wanted.get("shuffle", False)), ckpt_path=wanted.get("ckpt_path"))
        elif verb == "save":
            trainer.save_checkpoint(wanted["save"])
        elif verb == "predict":
            predicted = trainer.predict(model, words(wanted["predict"], size))
            found["predicted"] = move_data_to_device(predicted, torch.device("cpu"))
        else:
            model.seen.clear()
            loaders = [words(each, size) for each in wanted["left"]]
            found[verb] = getattr(trainer, verb)(model, loaders, verbose=False)
            found["seen"] = trainer.strategy.meet("seen", model.seen)
    found |= {"weights": whole_weights(model), "step": trainer.global_step, "kind": type(model.embed.weight).__name__}
    return found


def whole_weights(model):
    """All ranks have to ask."""
    return {
        name: (value.full_tensor() if hasattr(value, "full_tensor") else value).cpu()
        for name, value in model.state_dict().items()
    }


def ran(wanted, ranks=1):
    """Do one run after another in so many processes, and return what came of each on rank 0."""
    if ranks == 1:
        return [run(each) for each in wanted]
    return torch.load(io.BytesIO(on_ranks(_packed_runs, wanted, ranks=ranks)[0]), weights_only=False)


def _packed_runs(wanted):
    # Tensors in a pipe would need the process that sent them.
    packed = io.BytesIO()
    torch.save([run(each) for each in wanted], packed)
    return packed.getvalue()
