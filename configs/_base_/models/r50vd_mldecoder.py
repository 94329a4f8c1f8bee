_base_ = './r50_mldecoder.py'

model = dict(backbone=dict(type='ResNetVd'))
