"""Small networks on one thread, and nothing else."""

import pytest
import torch

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.threads import one_thread
from fulgurite.anomaly.window import WindowModel
from fulgurite.callbacks import LambdaCallback

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def test_the_number_of_threads_comes_back_after_an_error():
    before = torch.get_num_threads()

    with pytest.raises(RuntimeError, match="stop"), one_thread():
        raise RuntimeError("stop")

    assert torch.get_num_threads() == before


def test_a_model_trains_on_one_thread():
    seen = set()
    watch = LambdaCallback(on_train_batch_end=lambda *_: seen.add(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        WindowModel(epochs=1).fit(generate(rows=600, kinds=()), {**QUIET, "callbacks": [watch]})
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert seen == {1}
    assert after == 2
