"""ML-Decoder and its loss in a plain PyTorch loop, where MMPretrain is not installed.

python examples/plain_torch.py trains on rendered squares for some seconds on a CPU. The backbone is
timm's where timm is installed; any network without its pooling will do.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from mmpretrain_mldecoder.layers import MLDecoder, asymmetric_loss

COLORS = torch.eye(3)  # red, green, blue: the classes


def render(num_images: int) -> tuple[Tensor, Tensor]:
    """Return images ``(B, 3, 48, 48)`` in ``[0, 1]`` and the colors of their squares ``(B, 3)``."""
    targets = torch.randint(0, 2, (num_images, len(COLORS)))
    images = torch.rand(num_images, 3, 48, 48) * 0.3
    for image, labels in zip(images, targets, strict=True):
        for color in COLORS[labels.bool()]:
            top, left = torch.randint(0, 36, (2,)).tolist()
            image[:, top : top + 12, left : left + 12] = color[:, None, None]
    return images, targets


def build_backbone() -> tuple[nn.Module, int]:
    """Return a network that gives a feature map ``(B, C, H, W)``, and ``C``."""
    try:
        import timm
    except ImportError:
        sizes = (3, 16, 32, 64)
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(sizes)
        ]
        return nn.Sequential(*blocks), sizes[-1]
    backbone = timm.create_model('resnet10t', num_classes=0, global_pool='')  # pretrained=True, ...
    return backbone, backbone.num_features


def main(num_steps: int = 100) -> float:
    """Train, and return the fraction of labels that are right on new images."""
    torch.manual_seed(0)
    backbone, channels = build_backbone()
    model = nn.Sequential(backbone, MLDecoder(len(COLORS), channels, embed_dims=64))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    for step in range(1, num_steps + 1):
        images, targets = render(16)
        loss = asymmetric_loss(model(images), targets).sum()  # over classes and samples
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f'step {step}: loss {loss.item():.2f}')
    model.eval()
    with torch.no_grad():
        images, targets = render(100)
        scores = model(images).sigmoid()  # (B, 3)
    right = ((scores >= 0.5) == targets).float().mean().item()
    print(f'{right:.1%} of the labels of new images are right')
    return right


if __name__ == '__main__':
    main()
