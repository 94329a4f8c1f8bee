_base_ = './r50_cls.py'

model = dict(backbone=dict(type='ResNetVd'))
