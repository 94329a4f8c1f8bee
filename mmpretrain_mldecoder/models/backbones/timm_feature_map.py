"""timm's networks with a feature map as their output, whatever their own layout."""

from functools import cached_property
from hashlib import blake2b
from math import isqrt, prod
from types import SimpleNamespace
from typing import Any

import torch
from mmpretrain.models.backbones import TIMMBackbone
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from .feature_cache import FeatureCache


@MODELS.register_module()
class TIMMFeatureMap(TIMMBackbone):
    """The host's ``TIMMBackbone``, whose outputs are maps ``(B, C, H, W)``.

    - Channels-last maps (Swin, MambaOut) are permuted.
    - The patch tokens of a transformer (ViT, CLIP, SigLIP, DINOv3) become the grid that they are
      in the image. Class, distillation and register tokens, which lie nowhere in it, are left out:
      ``TIMMBackbone`` itself gives all tokens.
    - Position embeddings and tables of relative positions (BEiT, Swin, MaxViT) that are for
      another image size are resampled as timm does it.
    - Its layers are known, for ``layer_decay_rate`` of :class:`NoDecay1DConstructor`.

    Args:
        model_name (str): A model of timm.
        frozen (bool): Whether the network stays as it is: no gradients, and batch norms as in
            evaluation. A training of the head alone takes a third of the time. Defaults to False.
        norm_eval (bool): Whether batch norms keep their statistics in a training, as in the host's
            ResNet; their weights are trained. Those of few or small images cost EfficientNet-Lite
            points of mAP (docs/results.md). Defaults to False.
        cache_gigabytes (float): Memory for the maps of a frozen network in a training: those of an
            image that comes again with the same pixels are not computed again, which makes all
            epochs but the first fast where a flip is the only augmentation. Defaults to 0.
        cache_dir (str, optional): Folder for these maps instead of memory: they serve the next
            training and test of the same images, too. Defaults to None.
        **kwargs: As of ``TIMMBackbone``, and arguments of the model, such as ``img_size``.

    Shape:
        - Input: ``(B, in_channels, H, W)``.
        - Output: a tuple of maps, one unless ``features_only``; the last one of a network whose
          pool comes before its last layers has as many channels as these.

    Raises:
        ValueError: If timm cannot build the model without its pooling; when called, if its output
            is pooled.
    """

    def __init__(
        self,
        model_name: str,
        frozen: bool = False,
        norm_eval: bool = False,
        cache_gigabytes: float = 0,
        cache_dir: str | None = None,
        **kwargs: Any,
    ):
        if cache_gigabytes and not frozen:
            raise ValueError('cache_gigabytes keeps the maps of a frozen network: set frozen=True')
        if cache_dir and not cache_gigabytes:
            raise ValueError(f'cache_dir = {cache_dir!r} keeps nothing: set cache_gigabytes, too')
        try:
            super().__init__(model_name, **kwargs)
        except AssertionError as error:  # of reset_classifier
            raise ValueError(
                f'model_name = {model_name!r} has no feature map in timm ({error}): use another '
                'model'
            ) from error
        self.timm_model.register_load_state_dict_pre_hook(_resample_positions)
        self.frozen = frozen
        self.norm_eval = norm_eval
        self.timm_model.requires_grad_(not frozen).train(not frozen)
        self._cache = FeatureCache(cache_gigabytes, cache_dir) if cache_gigabytes else None
        self._settings = repr((model_name, sorted(kwargs.items())))
        self._digest: str | None = None
        self.timm_model.register_load_state_dict_pre_hook(self._forget_digest)

    def train(self, mode: bool = True) -> 'TIMMFeatureMap':
        """Set the mode; what is frozen stays in that of evaluation."""
        if self._cache and mode:
            self._cache.in_training = True
        super().train(mode and not self.frozen)  # the host returns None
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self._cache and self._cache.is_used and not torch.compiler.is_compiling():
            return self._cache(self._maps, x, self._made_by())
        return self._maps(x)

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._to_map(output, x) for output in super().forward(x))

    def _made_by(self) -> str:
        """Return a name of all that maps depend on beside the image."""
        if self._digest is None:
            digest = blake2b(self._settings.encode(), digest_size=16)
            for name, values in self.timm_model.state_dict().items():
                digest.update(name.encode())
                digest.update(values.cpu().reshape(-1).view(torch.uint8).numpy())
            self._digest = digest.hexdigest()
        return self._digest

    def _forget_digest(self, *_: Any) -> None:
        self._digest = None

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the layer of a parameter, and the number of layers, as timm counts both.

        The last layer is that of timm's classifier: parameters of a head are in it, and norms that
        timm counts to its own (ConvNeXt's last one).
        """
        last = max(self._layers.values())
        return self._layers.get(param_name.removeprefix(f'{prefix}timm_model.'), last), last + 1

    def no_weight_decay(self) -> set[str]:
        """Return patterns of the names that timm does not decay, beside 1-D parameters."""
        patterns = getattr(self.timm_model, 'no_weight_decay', set)()
        return {f'timm_model.{pattern}' for pattern in patterns}

    @cached_property
    def _layers(self) -> dict[str, int]:
        from timm.models import group_parameters

        # The classifier has been removed; a name that no pattern knows stands for it.
        named = [*self.timm_model.named_parameters(), ('classifier', None)]
        model = SimpleNamespace(named_parameters=lambda: named)
        return group_parameters(model, self.timm_model.group_matcher(coarse=False), reverse=True)

    def _to_map(self, output: Tensor, image: Tensor) -> Tensor:
        if output.dim() == 4:
            is_channels_last = getattr(self.timm_model, 'output_fmt', 'NCHW') == 'NHWC'
            return output.permute(0, 3, 1, 2) if is_channels_last else output
        has_class_token = getattr(self.timm_model, 'cls_token', None) is not None
        num_prefix_tokens = getattr(self.timm_model, 'num_prefix_tokens', int(has_class_token))
        patches = output[:, num_prefix_tokens:]
        if patches.dim() != 3 or not patches.shape[1]:  # PiT gives its class token
            raise ValueError(
                f"timm's {type(self.timm_model).__name__} gives {tuple(output.shape)}, which is "
                'pooled and has no positions: use another model'
            )
        height, width = _grid(patches.shape[1], *image.shape[2:])
        return patches.transpose(1, 2).unflatten(2, (height, width))


def _grid(num_tokens: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of that many patches, in the proportions of the image."""
    rows = [n for n in range(1, num_tokens + 1) if num_tokens % n == 0]
    best = min(rows, key=lambda n: abs(n * width - num_tokens // n * height))
    return best, num_tokens // best


def _resample_positions(model: Any, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
    """Resize position embeddings, and tables of relative positions, of another image size."""
    from timm import layers

    grid = getattr(getattr(model, 'patch_embed', None), 'grid_size', None)
    for name, own in model.named_parameters():
        loaded = state_dict.get(prefix + name)
        if loaded is None or loaded.shape == own.shape or loaded.dim() != own.dim():
            continue
        module, _, kind = name.rpartition('.')
        if name == 'pos_embed' and loaded.dim() == 3 and grid:
            num_prefix_tokens = own.shape[1] - prod(grid)
            if isqrt(number := loaded.shape[1] - num_prefix_tokens) ** 2 == number:
                loaded = layers.resample_abs_pos_embed(
                    loaded, new_size=list(grid), num_prefix_tokens=num_prefix_tokens
                )
        elif kind == 'relative_position_bias_table':
            window = model.get_submodule(module).window_size
            loaded = layers.resize_rel_pos_bias_table(loaded, window, own.shape)
        elif kind == 'attention_biases' and loaded.shape[0] == own.shape[0]:
            loaded = layers.resize_rel_pos_bias_table_levit(loaded.T, own.shape[::-1]).T
        state_dict[prefix + name] = loaded
