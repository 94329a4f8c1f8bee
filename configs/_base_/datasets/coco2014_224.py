# COCO 2014 as 80 labels, 224 px, as the authors' train.py and validate.py read it.
_base_ = './coco_224.py'

data_root = 'data/COCO2014'

# They list the images by their annotations, which drops those without: 82,081 of 82,783 stay in
# train, 40,137 of 40,504 in val.
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train2014.json',
        data_prefix='train2014',
        keep_unlabelled=False,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_val2014.json',
        data_prefix='val2014',
        keep_unlabelled=False,
    )
)
test_dataloader = val_dataloader
