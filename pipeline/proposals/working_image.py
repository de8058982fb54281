"""What is measured of an image once for all its segmentations: colour steps, bins of histograms."""

import cv2
import numpy as np

COLOUR_BINS = 20
TEXTURE_BINS = 32


class WorkingImage:
    """What a tree needs to know of an image, once for all its segmentations."""

    def __init__(self, image: np.ndarray) -> None:
        """Measure `image`, uint8 [H, W, 3] RGB."""
        lab_HW3 = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        self.height, self.width = image.shape[:2]
        self.lab = lab_HW3
        """CIE L*a*b*, float32 [H, W, 3]."""
        smooth_HW3 = cv2.GaussianBlur(lab_HW3, (0, 0), 1.0)
        self.steps = tuple(np.sqrt((np.diff(smooth_HW3, axis=axis) ** 2).sum(axis=2)) for axis in (1, 0))
        """Colour difference to the right [H, W − 1] and downwards [H − 1, W], in units of L*."""
        scaled = (lab_HW3 + np.array([0, 80, 80], np.float32)) / np.array([100, 160, 160], np.float32) * COLOUR_BINS
        self.colour_bins = np.clip(scaled, 0, COLOUR_BINS - 1).astype(np.int64)
        """Bin of each pixel in the histogram of each channel, int64 [H, W, 3]."""
        light_HW = cv2.GaussianBlur(lab_HW3[..., 0], (0, 0), 0.8)
        x = cv2.Sobel(light_HW, cv2.CV_32F, 1, 0)
        y = cv2.Sobel(light_HW, cv2.CV_32F, 0, 1)
        direction = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 8).astype(np.int64) % 8
        strength = np.minimum(np.log2(1 + np.hypot(x, y) / 4).astype(np.int64), 3)
        self.texture_bins = direction * 4 + strength
        """Bin of each pixel in the histogram of gradients, int64 [H, W]: 8 directions × 4 strengths."""
