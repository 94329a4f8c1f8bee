# ResNet-50 + ML-Decoder for the 20 classes of VOC (arXiv:2111.12933, full decoding: K = C).
_base_ = './r50_mldecoder.py'

model = dict(head=dict(num_classes=20, num_groups=20))
