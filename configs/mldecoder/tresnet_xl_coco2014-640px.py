# The authors' TResNet-XL: tools/test.py THIS miil://tresnet_xl_coco_640 (91.4 on COCO 2014).
# No weights of its backbone alone are published. To train, go on from the finished model:
# --cfg-options load_from=miil://tresnet_xl_coco_640
_base_ = [
    '../_base_/models/tresnet_xl_mldecoder.py',
    '../_base_/datasets/coco2014_640.py',
    '../_base_/schedules/coco_adam_onecycle_40e.py',
    '../_base_/default_runtime.py',
]
