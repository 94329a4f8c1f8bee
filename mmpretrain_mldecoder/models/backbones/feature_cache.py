"""Feature maps of a frozen network, computed once."""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor


class FeatureCache:
    """What a frozen network gave for an image, by the image's pixels.

    Copies are the same cache: they are made of a network for its average, and both stay as they
    are. ``is_used`` once a training has begun: a test of a trained network sees each image once.

    Args:
        gigabytes (float): Maps are kept up to this size, those of further images are not.
    """

    def __init__(self, gigabytes: float):
        self.is_used = False
        self.bytes_left = gigabytes * 1e9
        self._size = self.bytes_left
        self._maps: dict[tuple, tuple[Tensor, ...]] = {}

    def __deepcopy__(self, memo: dict) -> 'FeatureCache':
        return self

    def clear(self) -> None:
        """Forget all maps."""
        self._maps.clear()
        self.bytes_left = self._size

    def __call__(
        self, network: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor
    ) -> tuple[Tensor, ...]:
        """Return what ``network`` gives for ``images`` ``(B, C, H, W)``: it sees new ones only."""
        precision = torch.is_autocast_enabled(images.device.type), images.dtype
        keys = [
            (blake2b(pixels.numpy(), digest_size=16).digest(), *pixels.shape, *precision)
            for pixels in images.contiguous().cpu().view(torch.uint8)
        ]
        new = [i for i, key in enumerate(keys) if key not in self._maps]
        computed: dict[tuple, tuple[Tensor, ...]] = {}
        if new:
            outputs = network(images[new])
            computed = {
                keys[i]: maps for i, maps in zip(new, zip(*outputs, strict=True), strict=True)
            }
            for key, maps in computed.items():
                size = sum(each.numel() * each.element_size() for each in maps)
                if size <= self.bytes_left:
                    self.bytes_left -= size
                    self._maps[key] = tuple(each.detach().clone() for each in maps)
        rows = [computed[key] if key in computed else self._maps[key] for key in keys]
        return tuple(torch.stack(maps) for maps in zip(*rows, strict=True))
