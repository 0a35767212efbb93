"""The PyTorch networks, written the way a small project would write them."""

import torch
from extents import CLASSES, GREY_LEVELS
from torch import Tensor, nn
from torch.nn import functional


class ImageClassifier(nn.Sequential):
    """Two convolutions and two dense layers over images, shape (batch, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            # After the activation, where no exporter can fold it into the convolution.
            nn.BatchNorm2d(32),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(64, CLASSES),
        )


class Block(nn.Module):
    """One transformer block: attention, then a dense layer, each with its residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm_dense = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sequence, shape (batch, length, width), transformed."""
        x = x + self.dropout(self.attend(self.norm_attention(x)))
        transformed: Tensor = x + self.dropout(self.dense(self.norm_dense(x)))
        return transformed

    def attend(self, x: Tensor) -> Tensor:
        """Return a sequence of the same shape, each place a mixture of all places."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.projection(mixed.transpose(1, 2).flatten(2))
        return projected


class VisionTransformer(nn.Module):
    """A transformer over the sixteen 2×2 patches of images, shape (batch, 1, 8, 8)."""

    def __init__(self, width: int = 32, heads: int = 4, depth: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, kernel_size=2, stride=2)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.1 * torch.randn(1, 17, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, shape (batch, 10)."""
        patches = self.patches(image).flatten(2).transpose(1, 2)
        # Not len(image): torch.export would take it for a constant and fix the batch.
        class_token = self.class_token.expand(image.shape[0], -1, -1)
        x = torch.cat([class_token, patches], dim=1) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return logits


class TokenClassifier(nn.Module):
    """Convolutions over the embedded words of texts, shape (batch, 64), words 0 to 16."""

    def __init__(self, width: int = 16, channels: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(GREY_LEVELS, width)
        self.features = nn.Sequential(
            nn.Conv1d(width, channels, kernel_size=8, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=5, padding=2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(16 * channels, channels),
            nn.ReLU(),
            nn.Linear(channels, CLASSES),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits, shape (batch, 10)."""
        features = self.features(self.embedding(tokens).transpose(1, 2))
        logits: Tensor = self.classifier(features)
        return logits
