"""Test-time augmentation: one prediction for many labels from several views of an image."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


@MODELS.register_module()
class MultiLabelTTA(BaseTTAModel):
    """Average the scores of all views, and predict labels from the average as the head does.

    What is averaged are probabilities, as in MMPretrain's ``AverageClsScoreTTA``: a view that is
    all but sure cannot outvote the others, as it could with logits. Differs from that class in:
    ``pred_label`` is that of the averaged scores (there, the first view's stays).

    All else in the data sample is that of the first view: ``gt_label``, ``sample_idx``,
    ``img_path``, ``instance_labels``, ...; and also ``img_shape`` and ``flip``, of which each view
    has its own. With a single view the scores are those of a plain test, bit by bit.

    Args:
        module (dict | nn.Module): The model, with a ``MultiLabelClsHead`` as its head, wrapped for
            several processes or not.
        **kwargs: See MMEngine's ``BaseTTAModel``.
    """

    def merge_preds(self, data_samples_list: Sequence[Sequence[DataSample]]) -> list[DataSample]:
        """Return one data sample an image from those of its views, with ``pred_score`` ``(C,)``."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DataSample]) -> DataSample:
        model = self.module.module if is_model_wrapper(self.module) else self.module
        score = torch.stack([view.pred_score for view in views]).mean(dim=0)
        if model.head.thr is not None:
            label = torch.where(score >= model.head.thr)[0]
        else:
            label = score.topk(model.head.topk)[1]
        return views[0].clone().set_pred_score(score).set_pred_label(label)
