"""The digits every model here is trained and tested on.

scikit-learn ships the 1797 images of 8×8 pixels with 17 grey levels, 0 to 16. The models see them
as an ordinary image file would hold them: bytes from 0 to 255, divided by 255. The token classifier
reads the grey levels themselves, row by row, as a text of 64 words.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from extents import GREY_LEVELS
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_IMAGES = 500
SPLIT_SEED = 0


@dataclass(frozen=True)
class Digits:
    """Digits of one split.

    Attributes:
        tokens: Grey levels 0 to 16, row by row, shape (n, 64).
        labels: Digit 0 to 9, shape (n,).
    """

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def images(self) -> NDArray[np.uint8]:
        """Bytes 0 to 255, shape (n, 8, 8)."""
        brightest = GREY_LEVELS - 1
        return np.round(self.tokens * 255 / brightest).astype(np.uint8).reshape(-1, 8, 8)

    @property
    def pixels(self) -> NDArray[np.float32]:
        """Bytes divided by 255, shape (n, 8, 8): what every image model takes."""
        return self.images.astype(np.float32) / np.float32(255)


def split_digits() -> tuple[Digits, Digits]:
    """Return the training and the test split, the same in every environment."""
    bunch = load_digits()
    tokens, labels = bunch.data.astype(np.int64), bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_IMAGES, random_state=SPLIT_SEED, stratify=labels
    )
    return Digits(tokens[train], labels[train]), Digits(tokens[test], labels[test])


def main(folder: Path) -> None:
    """Write the test split to ``folder``."""
    _, test = split_digits()
    np.savez_compressed(
        folder / "digits.npz", images=test.images, labels=test.labels, tokens=test.tokens
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
