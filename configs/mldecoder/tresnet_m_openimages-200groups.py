# The authors' TResNet-M for OpenImages' 9,605 classes, for prediction:
# tools/infer.py PHOTOS THIS miil://tresnet_m_open_images_200groups
_base_ = [
    '../_base_/models/tresnet_m_mldecoder.py',
    '../_base_/datasets/openimages_224.py',
    '../_base_/default_runtime.py',
]

# each of the 200 queries answers for 49 classes: 9,800, of which the last 195 are dropped
model = dict(head=dict(num_classes=9605, num_groups=200))

evaluate_only = 'its training is not published; the rows of COCO can start from its weights'
test_cfg = dict()
