"""ML-Decoder (Ridnik et al., arXiv:2111.12933v2) as a head of MMPretrain's classifiers."""

from math import isqrt

import torch
from mmpretrain.models.heads import ClsHead, MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ...layers import MLDecoder


class _DecodesLastFeature:
    """Feed the last output of the backbone to ``self.decoder``; both heads do this."""

    decoder: MLDecoder
    with_cls_token: bool

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the map or the tokens that the decoder reads.

        Raises:
            ValueError: If the last output of the backbone or neck, which counts, is pooled, i.e.
                has no positions to attend to, or is a map whose channels are the last axis.
        """
        memory = feats[-1]
        if memory.dim() == 2:
            raise ValueError(
                f'{type(self).__name__} attends to a map (B, C, H, W) or to tokens (B, L, C), but '
                f'the last output of the backbone has shape {tuple(memory.shape)}: it is pooled. '
                'Let it keep its positions: gap_before_final_norm=False for ConvNeXt, '
                "out_type='featmap' (or 'raw') for vision transformers, and no "
                'GlobalAveragePooling neck.'
            )
        channels = self.decoder.in_channels
        if memory.dim() == 4 and memory.shape[1] != channels == memory.shape[3]:
            raise ValueError(
                f'{type(self).__name__} reads a map (B, C, H, W), but the last output of the '
                f'backbone has shape {tuple(memory.shape)}, channels last: give timm models the '
                "backbone type='TIMMFeatureMap'."
            )
        if memory.dim() == 3 and not self.with_cls_token:
            memory = memory[:, 1:]
        return memory

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the logits ``(B, C)``."""
        return self.decoder(self.pre_logits(feats))

    def attention_maps(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return where each query of the decoder's last layer looks in the image.

        Class ``c`` is read from query ``c // decoder.group_linear.group_size``.

        Args:
            feats (tuple[Tensor]): Outputs of the backbone or neck; the last one counts. Tokens are
                taken for a square read row by row, with a class token ahead of it if there is one
                token more. The weight on that class token, which lies nowhere in the image, is
                left out, and the others are scaled up to sum to 1.

        Returns:
            Tensor: ``(B, num_heads, K, H, W)``, fractions that sum to 1 over ``H`` and ``W``.

        Raises:
            RuntimeError: If the head is in training mode.
            ValueError: If the features are pooled or have other channels, or if the tokens make no
                square.
        """
        memory = self.pre_logits(feats)
        weights = self.decoder.attention_weights(memory)  # (B, num_heads, K, L)
        if memory.dim() == 4:
            return weights.unflatten(3, memory.shape[2:])
        side = isqrt(memory.shape[1])
        class_tokens = memory.shape[1] - side**2
        if class_tokens > 1:
            raise ValueError(
                f'{memory.shape[1]} tokens are no square, with or without a class token, so '
                'where they lie in the image is unknown: let the backbone give a map (out_type='
                "'featmap' for vision transformers, type='TIMMFeatureMap' for timm's)."
            )
        if class_tokens:
            weights = weights[..., 1:]
            # Where the class token got all there is, the map stays empty instead of 0 / 0.
            total = weights.sum(3, keepdim=True)
            weights = weights / total.clamp(min=torch.finfo(weights.dtype).tiny)
        return weights.unflatten(3, (side, side))


@MODELS.register_module()
class MLDecoderHead(_DecodesLastFeature, MultiLabelClsHead):
    """Multi-label head: ML-Decoder, asymmetric loss, sigmoid scores.

    Sits on the last output of any backbone that keeps its positions, maps or tokens. Samples
    without labels count as negative for every class. A label listed twice counts once. Targets
    given as ``gt_score`` may hold -1 for unknown, and a class in ``gt_label_difficult`` only is
    unknown: losses of MMPretrain leave it out, as the default does; one of your own gets the -1.

    Args:
        num_classes (int): Number of labels ``C``, at least 1.
        in_channels (int): Channels of the backbone's last output.
        with_cls_token (bool): Whether the first token of a sequence is read like the others, as in
            the authors' code. False drops it: set this only for a backbone that puts a class token
            there, such as a vision transformer with ``out_type='raw'``. Maps have none and are
            read whole either way. Defaults to True.
        loss (dict, optional): Loss config; it gets logits and targets ``(B, C)``. Defaults to None,
            which means ``dict(type='DetachedAsymmetricLoss')``.
        thr (float, optional): A label is predicted if its score is at least this, in ``[0, 1]``.
            Defaults to None: 0.5 if ``topk`` is None too, else unused.
        topk (int, optional): Number of labels to predict, where ``thr`` is None. Defaults to None.
        init_cfg (dict, optional): Initialisation on top of the decoder's own. Defaults to None.
        **decoder_args: Further arguments of :class:`~mmpretrain_mldecoder.layers.MLDecoder`:
            ``num_groups``, ``embed_dims``, ``num_heads``, ``feedforward_channels``,
            ``num_layers``, ``drop_rate``, ``learn_queries``.

    Raises:
        ValueError: If an argument is outside its range; when called, if the features are pooled or
            have other channels; in the loss, if a label is outside ``[0, C)``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        with_cls_token: bool = True,
        loss: dict | None = None,
        thr: float | None = None,
        topk: int | None = None,
        init_cfg: dict | None = None,
        **decoder_args,
    ):
        loss = dict(type='DetachedAsymmetricLoss') if loss is None else loss
        super().__init__(loss=loss, thr=thr, topk=topk, init_cfg=init_cfg)
        self.num_classes = num_classes
        self.with_cls_token = with_cls_token
        self.decoder = MLDecoder(num_classes, in_channels, **decoder_args)

    def _get_loss(self, cls_score: Tensor, data_samples: list[DataSample], **kwargs) -> dict:
        # Overridden because the host's one-hot targets turn a label listed twice into a 2.
        targets = self._targets(data_samples, cls_score.device)
        if type(self.loss_module).__module__.startswith('mmpretrain.'):
            # They know no -1. A constant, surely negative score costs nothing and has no gradient.
            cls_score = torch.where(targets < 0, -1e4, cls_score)
            targets = targets.clamp(min=0)
        loss = self.loss_module(cls_score, targets, avg_factor=len(data_samples), **kwargs)
        return dict(loss=loss)

    def _targets(self, data_samples: list[DataSample], device: torch.device) -> Tensor:
        """Return the float targets ``(B, C)``: ``gt_score`` as it is, else 1 at every label."""
        if all('gt_score' in sample for sample in data_samples):
            targets = torch.stack([sample.gt_score.float() for sample in data_samples])
        else:
            targets = torch.zeros(len(data_samples), self.num_classes, device=device)
            targets[self._places([sample.gt_label for sample in data_samples], device)] = 1
            for row, sample in zip(targets, data_samples, strict=True):
                if 'gt_score' in sample:  # of one of several datasets
                    row.copy_(sample.gt_score)
        doubtful = [
            torch.as_tensor(sample.get('gt_label_difficult', ())) for sample in data_samples
        ]
        if sum(map(len, doubtful)):  # an object that is certain makes its class so
            places = self._places(doubtful, device)
            targets[places] = torch.where(targets[places] == 0, -1, targets[places])
        return targets

    def _places(self, labels: list[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return row and column of each label of each sample."""
        counts = torch.tensor([each.numel() for each in labels])
        columns = torch.cat(labels).long()  # an empty list is one of floats
        # The data preprocessor has moved the labels to the GPU. Waiting for it once, to look at
        # them, is enough: whatever else needs their values is computed here.
        seen = columns.cpu()
        if seen.numel() and not 0 <= seen.min() <= seen.max() < self.num_classes:
            raise ValueError(
                f'Labels must be from 0 to num_classes - 1 = {self.num_classes - 1}, but are from '
                f'{seen.min()} to {seen.max()}: set num_classes to what the dataset has.'
            )
        rows = torch.arange(len(counts)).repeat_interleave(counts)
        return rows.to(device), columns.to(device)


@MODELS.register_module()
class MLDecoderClsHead(_DecodesLastFeature, ClsHead):
    """Single-label head: ML-Decoder, cross-entropy, softmax scores.

    The paper's use of ML-Decoder on ImageNet-1k (arXiv:2111.12933v2). By default 100 queries
    answer for 1000 classes.

    Args:
        num_classes (int): Number of classes ``C``, at least 1.
        in_channels (int): Channels of the backbone's last output.
        with_cls_token (bool): See :class:`MLDecoderHead`. Defaults to True.
        loss (dict, optional): Loss config. Defaults to None, which means
            ``dict(type='CrossEntropyLoss')``.
        topk (int | tuple[int]): The k of the training accuracy. Defaults to ``(1, )``.
        cal_acc (bool): Whether to log the training accuracy. Defaults to False.
        init_cfg (dict, optional): Initialisation on top of the decoder's own. Defaults to None.
        **decoder_args: Further arguments of :class:`~mmpretrain_mldecoder.layers.MLDecoder`, as in
            :class:`MLDecoderHead`.

    Raises:
        ValueError: If an argument is outside its range; when called, if the features are pooled or
            have other channels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        with_cls_token: bool = True,
        loss: dict | None = None,
        topk: int | tuple[int, ...] = (1,),
        cal_acc: bool = False,
        init_cfg: dict | None = None,
        **decoder_args,
    ):
        loss = dict(type='CrossEntropyLoss') if loss is None else loss
        super().__init__(loss=loss, topk=topk, cal_acc=cal_acc, init_cfg=init_cfg)
        self.num_classes = num_classes
        self.with_cls_token = with_cls_token
        self.decoder = MLDecoder(num_classes, in_channels, **decoder_args)
