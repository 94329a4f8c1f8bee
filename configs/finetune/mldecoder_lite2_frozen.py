_base_ = './mldecoder_lite0_frozen.py'

model = dict(
    backbone=dict(
        model_name='tf_efficientnet_lite2',
        init_cfg=dict(checkpoint='timm://tf_efficientnet_lite2.in1k'),
    )
)
