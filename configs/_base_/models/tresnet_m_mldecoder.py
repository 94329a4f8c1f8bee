# TResNet-M + ML-Decoder for the 80 classes of COCO: the authors' model, with timm's backbone.
_base_ = './r50_mldecoder.py'

model = dict(backbone=dict(_delete_=True, type='TIMMBackbone', model_name='tresnet_m'))
