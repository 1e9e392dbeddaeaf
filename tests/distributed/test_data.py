"""What each of several ranks reads: together all of it, in the order of one process."""

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from fulgurite import LightningModule, Trainer
from fulgurite.base.tree import leaves
from fulgurite.testing import QUIET
from fulgurite.utilities import CombinedLoader
from support.ranks import on_ranks

ROWS = 23


class Reads(LightningModule):
    """Notes the numbers of the rows that come."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)
        self.seen = {"train": [], "val": [], "test": []}

    def training_step(self, batch, batch_idx):
        x = next(leaves(batch))
        self.seen["train"].append(x[:, 0].int().tolist())
        return self.weight(x).mean()

    def validation_step(self, batch, batch_idx):
        self.seen["val"].append(batch[0][:, 0].int().tolist())

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen["test"].append((dataloader_idx, batch[0][:, 0].int().tolist()))

    def predict_step(self, batch, batch_idx):
        return batch[0][:, 0].int().tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Buckets:
    """A batch sampler of the user's own: short and long rows apart."""

    def __iter__(self):
        yield from ([0, 1, 2], [10, 11], [3, 4, 5, 6], [12], [7])

    def __len__(self):
        return 5


def dataset(rows=ROWS):
    return TensorDataset(torch.arange(rows).float()[:, None])


def loader(rows=ROWS, size=4, **arguments):
    return DataLoader(dataset(rows), **({"batch_size": size} | arguments))


def quiet(**arguments):
    return Trainer(devices=2, **{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def read_in_order():
    model = Reads()
    quiet().fit(model, loader(), loader())
    trainer = quiet()
    trainer.test(model, [loader(), loader(5, 2)], verbose=False)
    kwargs = {"shown": trainer.distributed_sampler_kwargs, "batches": trainer.num_test_batches}
    return model.seen, trainer.predict(model, loader(7, 2)), kwargs


def test_ranks_share_out_the_data_in_order():
    """Two ranks take the batches in turn; the last round of a training is evened out, evaluation sees each row once."""
    (one, predicted, told), (two, also, _) = on_ranks(read_in_order)

    assert one["train"] == [[0, 1, 2, 3], [8, 9, 10, 11], [16, 18, 20, 22]]
    assert two["train"] == [[4, 5, 6, 7], [12, 13, 14, 15], [17, 19, 21, 0]]
    assert one["val"] == [[0, 1, 2, 3], [8, 9, 10, 11], [16, 17, 18, 19]]
    assert two["val"] == [[4, 5, 6, 7], [12, 13, 14, 15], [20, 21, 22]]
    assert [rows for at, rows in one["test"] if at == 1] == [[0, 1], [4]]
    assert [rows for at, rows in two["test"] if at == 1] == [[2, 3]]
    assert predicted == also == [[0, 1], [2, 3], [4, 5], [6]], "each rank has the predictions of all, in order"
    assert told == {"shown": {"num_replicas": 2, "rank": 0}, "batches": [3, 2]}


def read_in_other_ways():
    seen = {}
    for name, given in {
        "shuffled": loader(shuffle=True),
        "weighted": loader(sampler=WeightedRandomSampler([1.0] * ROWS, 8)),
        "buckets": DataLoader(dataset(), batch_sampler=Buckets()),
        "drop_last": DataLoader(dataset(), batch_sampler=BatchSampler(range(ROWS), 4, drop_last=True)),
        "one_batch": loader(3, 4),
        "unbatched": DataLoader(dataset(3), batch_size=None, sampler=[[0], [1], [2]]),
        "own": loader(sampler=torch.utils.data.DistributedSampler(dataset(), 2, 0, shuffle=False)),
        "workers": loader(num_workers=1),
        "dict": {"a": loader(6, 1), "b": loader(4, 1)},
        "combined": CombinedLoader([loader(8, 2)], "min_size"),
    }.items():
        # Ranks whose random numbers are other ones still agree on the order.
        torch.manual_seed(torch.distributed.get_rank() if torch.distributed.is_initialized() else 0)
        model = Reads()
        quiet(max_epochs=2).fit(model, given)
        seen[name] = model.seen["train"]
    model = Reads()
    trainer = quiet(use_distributed_sampler=False)
    trainer.fit(model, loader(4, 2))
    trainer.validate(model, loader(1, 1), verbose=False)
    return {**seen, "all": model.seen["train"], "val": model.seen["val"]}


def test_every_kind_of_loader_is_shared_out():
    """Random orders are the same on all ranks, another in each epoch; batches of the user's making stay whole."""
    one, two = on_ranks(read_in_other_ways)

    flat = [row for epoch in (one, two) for batch in epoch["shuffled"][:3] for row in batch]
    assert set(flat) == set(range(ROWS)) and len(flat) == ROWS + 1
    assert one["shuffled"][:3] != one["shuffled"][3:]
    assert [len(batch) for batch in one["weighted"]] == [4, 4] and one["weighted"] != two["weighted"]
    assert one["buckets"][:3] == [[0, 1, 2], [3, 4, 5, 6], [7]]
    assert two["buckets"][:3] == [[10, 11], [12], [0, 1, 2]]
    assert one["drop_last"][:2] == [[0, 1, 2, 3], [8, 9, 10, 11]] and len(two["drop_last"]) == 4
    assert one["one_batch"][0] == [0, 2] and two["one_batch"][0] == [1, 0]
    assert one["unbatched"][:2] == [[0], [2]] and two["unbatched"][:2] == [[1], [0]]
    assert one["own"] == two["own"], "who brings a distributed sampler shares out"
    assert one["workers"][:3] == [[0, 1, 2, 3], [8, 9, 10, 11], [16, 18, 20, 22]]
    assert len(one["dict"]) == len(two["dict"]) == 6
    assert one["combined"][:2] == [[0, 1], [4, 5]] and two["combined"][:2] == [[2, 3], [6, 7]]
    assert one["all"] == two["all"] == [[0, 1], [2, 3]]
    assert one["val"] == two["val"] == [[0]]


class Stream(IterableDataset):
    def __iter__(self):
        yield from ([torch.tensor([float(number)])] for number in range(4))


def read_a_stream():
    import warnings

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer = quiet(limit_val_batches=0.5)
        trainer.validate(Reads(), [loader(5, 1)], verbose=False)
        sizes = trainer.num_val_batches
        trainer.predict(Reads(), DataLoader(Stream(), batch_size=2))
    return sizes, [str(each.message) for each in said if "gives no indices" in str(each.message)]


def test_limits_count_each_ranks_batches_and_streams_are_told():
    """Half of five batches is one of three, also on the rank that has two; who shares out no stream is told so."""
    (one, told), (two, _) = on_ranks(read_a_stream)

    assert one == two == [1]
    assert len(told) == 1 and "Stream" in told[0] and "global_rank" in told[0]


class Endless(torch.utils.data.Sampler):
    def __iter__(self):
        while True:
            yield int(torch.randint(ROWS, (1,)))


def read_without_end():
    model = Reads()
    quiet(max_epochs=-1, max_steps=40).fit(model, loader(sampler=Endless()))
    return model.seen["train"]


def test_a_sampler_without_end_is_drawn_alike_bit_by_bit():
    """Both ranks take every second batch of the same numbers, which differ from one another."""
    one, two = on_ranks(read_without_end)

    assert len(one) == len(two) == 40
    assert len({tuple(rows) for rows in one + two}) > 70
