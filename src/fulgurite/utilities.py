"""The small things that user code imports beside the Trainer, under the names they have in Lightning."""

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_deprecation, rank_zero_info, rank_zero_only, rank_zero_warn
from fulgurite.base.samples import SeededSamples
from fulgurite.base.seed import isolate_rng
from fulgurite.base.tree import move_data_to_device
from fulgurite.core.flops import measure_flops
from fulgurite.core.hparams import AttributeDict
from fulgurite.runtime.combined import CombinedLoader

__all__ = [
    "AttributeDict",
    "CombinedLoader",
    "MisconfigurationException",
    "SeededSamples",
    "isolate_rng",
    "measure_flops",
    "move_data_to_device",
    "rank_zero_deprecation",
    "rank_zero_info",
    "rank_zero_only",
    "rank_zero_warn",
]
