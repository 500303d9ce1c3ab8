"""Which architectures of torchvision and timm imago can explain: every one tried, and the answer kept."""
