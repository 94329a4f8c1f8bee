# The authors' TResNet-L has bottlenecks in all four stages: timm calls it tresnet_v2_l.
_base_ = './tresnet_m_mldecoder.py'

model = dict(backbone=dict(model_name='tresnet_v2_l'))
