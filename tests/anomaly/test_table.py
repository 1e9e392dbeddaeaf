"""The document's dataset and its loaders: every row once, in batches, without a loop over rows."""

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite.anomaly.table import Slices, Table, as_it_is
from fulgurite.base.errors import DataError


def table(rows=10):
    """Rows that can be told apart: row ``i`` holds ``i`` in each of its columns."""
    count = torch.arange(rows)
    return Table(torch.stack([count, count], dim=1).float(), count[:, None], count[:, None].float())


def seen(loader):
    return torch.cat([batch[1][:, 0] for batch in loader]).tolist()


def test_a_row_is_three_tensors():
    """Continuous, categorical and target, as the document's dataset returns them."""
    continuous, categorical, target = table()[3]

    assert continuous.tolist() == [3, 3] and categorical.tolist() == [3] and target.tolist() == [3]
    assert (continuous.dtype, categorical.dtype, target.dtype) == (torch.float32, torch.int64, torch.float32)


def test_a_data_loader_fetches_a_batch_at_once():
    """`__getitems__` gives the batch that collating rows one by one would give."""
    at_once = list(DataLoader(table(), batch_size=4, collate_fn=as_it_is))
    one_by_one = list(DataLoader([table()[index] for index in range(10)], batch_size=4))

    assert [len(batch[0]) for batch in at_once] == [4, 4, 2]
    for ours, theirs in zip(at_once, one_by_one, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_slices_keep_the_order_or_shuffle_it_anew_each_epoch():
    """Each epoch holds every row once; columns stay together."""
    ordered, shuffled = Slices(table(100), 16), Slices(table(100), 16, shuffle=True)
    first, second = seen(shuffled), seen(shuffled)

    assert seen(ordered) == list(range(100))
    assert sorted(first) == sorted(second) == list(range(100)) and first != second
    assert all(torch.equal(batch[0][:, 0], batch[2][:, 0]) for batch in shuffled)


def test_a_generator_fixes_the_order():
    """The same seed gives the same batches."""
    orders = [seen(Slices(table(), 4, True, torch.Generator().manual_seed(7))) for _ in range(2)]

    assert orders[0] == orders[1]


@pytest.mark.parametrize(("rows", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (0, [])])
def test_no_batch_of_one_row_is_left_over(rows, sizes):
    """Batch normalisation cannot train on a single row, so it joins the batch before it."""
    loader = Slices(table(rows), 4)

    assert [len(batch[0]) for batch in loader] == sizes and len(loader) == len(sizes)


def test_a_batch_of_one_row_is_refused():
    """The error says how many rows a batch needs."""
    with pytest.raises(ValueError, match="batch_size=1: give at least 2"):
        Slices(table(), 1)


def test_columns_of_other_lengths_are_refused():
    """The error counts the rows of each kind."""
    with pytest.raises(ValueError, match="3 continuous ones, 3 categorical ones and 2 targets"):
        Table(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(2, 1))


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("pandas")
    (tmp_path / "train.csv").write_text("value,t,holiday,target\n0.5,-1,1,70\n-0.5,0,1,71\n")
    (tmp_path / "test.csv").write_text("value,t,holiday,target\n3.5,1,0,90\n")
    return tmp_path


@pytest.mark.parametrize(("split", "targets"), [("train", [70, 71]), ("test", [90]), ("both", [70, 71, 90])])
def test_a_split_is_read_from_its_files(folder, split, targets):
    """`train`, `test`, or `both` of them in that order, with the columns that were named."""
    found = Table.read(split, folder, ["value", "t"], ["holiday"])

    assert found.target[:, 0].tolist() == targets
    assert found.continuous.shape == (len(targets), 2) and found.categorical.shape == (len(targets), 1)


def test_a_split_or_column_that_does_not_exist_is_named(folder):
    """The errors say what there is."""
    with pytest.raises(ValueError, match="split='val'; it is one of 'train', 'test', 'both'"):
        Table.read("val", folder, ["value"])
    with pytest.raises(DataError, match="no column 'speed'. It has 'value', 't', 'holiday', 'target'"):
        Table.read("both", folder, ["value", "speed"])
