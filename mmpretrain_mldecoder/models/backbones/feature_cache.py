"""What a frozen network gave for an image, kept for the next time that it is seen."""

from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from ...fileio.atomic_write import write_file

Maps = tuple[Tensor, ...]


class FeatureCache:
    """The maps of a frozen network, by all that they depend on.

    Copies are the same cache: they are made of a network for its average, and both stay as they
    are. Only a training adds maps: a test of a trained network sees each image once.

    Args:
        gigabytes (float): Maps are kept up to this size, those of further images are not.
        folder (str, optional): Where they are kept, for other processes, too. Defaults to None: in
            memory.
    """

    def __init__(self, gigabytes: float, folder: str | None = None):
        self.in_training = False
        self._maps: dict[str, Maps] | _Files = _Files(Path(folder)) if folder else {}
        self._size = gigabytes * 1e9
        self._used: int | None = None  # of it, in bytes

    def __deepcopy__(self, memo: dict) -> 'FeatureCache':
        return self

    @property
    def is_used(self) -> bool:
        """Whether there is a training, or maps of another one."""
        return self.in_training or (isinstance(self._maps, _Files) and self._maps.folder.is_dir())

    def __call__(self, network: Callable[[Tensor], Maps], images: Tensor, made_by: str) -> Maps:
        """Return what ``network`` gives for ``images`` ``(B, C, H, W)``: it sees new ones only.

        ``made_by`` stands for its weights and settings.
        """
        precision = torch.is_autocast_enabled(images.device.type), images.dtype
        facts = repr((made_by, images.shape[1:], precision)).encode()
        keys = [
            blake2b(facts + pixels.numpy().tobytes(), digest_size=16).hexdigest()
            for pixels in images.contiguous().cpu().view(torch.uint8)
        ]
        maps = {key: found for key in {*keys} if (found := self._maps.get(key)) is not None}
        new = {key: i for i, key in enumerate(keys) if key not in maps}
        if new:
            outputs = network(images[[*new.values()]])
            computed = dict(zip(new, zip(*outputs, strict=True), strict=True))
            maps |= computed
            if self.in_training:
                self._keep(computed)
        rows = [[each.to(images.device) for each in maps[key]] for key in keys]
        return tuple(torch.stack(each) for each in zip(*rows, strict=True))

    def _keep(self, computed: dict[str, Maps]) -> None:
        if self._used is None:
            self._used = self._maps.size() if isinstance(self._maps, _Files) else 0
        for key, maps in computed.items():
            size = sum(each.numel() * each.element_size() for each in maps)
            if self._used + size <= self._size:
                self._used += size
                self._maps[key] = tuple(
                    each.detach().clone(memory_format=torch.contiguous_format) for each in maps
                )


class _Files:
    """Maps by name, a file each; one that cannot be read is one that is not there."""

    def __init__(self, folder: Path):
        self.folder = folder

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.glob('*.safetensors'))

    def get(self, key: str) -> Maps | None:
        """Return the maps, or None."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        with suppress(FileNotFoundError, SafetensorError):
            stored = load_file(self._path(key))
            return tuple(stored[str(i)] for i in range(len(stored)))
        return None

    def __setitem__(self, key: str, maps: Maps) -> None:
        from safetensors.torch import save

        content = save({str(i): each for i, each in enumerate(maps)})
        write_file(self._path(key), content, sync=False)

    def _path(self, key: str) -> Path:
        return self.folder / f'{key}.safetensors'
