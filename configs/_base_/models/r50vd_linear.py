_base_ = './r50_linear.py'

model = dict(backbone=dict(type='ResNetVd'))
