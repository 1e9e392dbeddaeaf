"""What DDPStrategy hands on to torch, and what it refuses before."""

import pytest

from fulgurite.strategies import DDPStrategy


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"find_unused_parameter": True}, "find_unused_parameter=True.*Did you mean 'find_unused_parameters'"),
        ({"device_ids": [0]}, r"device_ids=\[0\].*takes it from you"),
        ({"qwerty": 1}, "qwerty=1.*Those are: .*bucket_cap_mb"),
        ({"static_graph": "yes"}, "static_graph='yes'.*True or False"),
        ({"bucket_cap_mb": [25]}, r"bucket_cap_mb=\[25\].*a number or None"),
        ({"ddp_comm_hook": "fp16"}, "ddp_comm_hook='fp16'.*a function"),
    ],
)
def test_what_torch_would_not_take_is_told_at_once(given, words):
    """Not when processes run and the model is wrapped."""
    with pytest.raises(TypeError, match=words):
        DDPStrategy(**given)


def test_what_torch_takes_is_handed_on():
    given = {"find_unused_parameters": True, "bucket_cap_mb": 12.5, "gradient_as_bucket_view": False}

    assert DDPStrategy(**given)._ddp_kwargs == given
