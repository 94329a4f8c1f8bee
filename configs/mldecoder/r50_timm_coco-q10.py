# 10 queries for 80 classes: each answers for 8.
_base_ = './r50_timm_coco.py'

model = dict(head=dict(num_groups=10))
