"""Storages on a stand-in device, which a build of torch for the CPU makes in the computer's memory alone."""

from typing import Any

import torch

resize = torch.ops.stand_in.resize


def install(kind: str, devices: int) -> None:
    """Let storages of ``kind`` be copied, resized and restored from files: they go through tensors."""
    clone, plain_resize = torch.UntypedStorage.clone, torch._C.StorageBase.resize_

    def tensor(storage: Any) -> torch.Tensor:
        return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)

    @torch.no_grad()
    def cloned(self: Any) -> Any:
        return tensor(self).clone().untyped_storage() if self.device.type == kind else clone(self)

    def resized(self: Any, size: int) -> Any:
        if self.device.type != kind:
            return plain_resize(self, size)
        with torch.inference_mode(False), torch.no_grad():
            resize(tensor(self), size)
        return self

    @torch.no_grad()
    def restored(storage: Any, location: str) -> Any:
        device = torch.device(location) if location.startswith(kind) else None
        if device is None:
            return None
        if (device.index or 0) >= devices:
            raise RuntimeError(f"Attempting to deserialize object on {location}, but there are {devices} of them.")
        return tensor(storage).to(device).untyped_storage()

    torch.UntypedStorage.clone, torch.UntypedStorage.resize_ = cloned, resized
    # Asked before torch's own, which have numbers from 20 on.
    torch.serialization.register_package(15, lambda storage: None, restored)
