# The authors' TResNet-XL is their L with more blocks; it is not timm's tresnet_xl.
_base_ = './tresnet_l_mldecoder.py'

model = dict(backbone=dict(layers=(3, 8, 34, 5)))
