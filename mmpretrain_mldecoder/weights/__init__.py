"""Published checkpoints by name: ``paddleclas://``, ``timm://``, ``miil://``."""
