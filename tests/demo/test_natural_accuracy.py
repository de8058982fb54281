"""What is measured of a CLIP beside masked regions: whole scenes and natural crops."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import ClipConfig, TextEmbedder, load_clip
from pipeline.demo.annotated_scenes import annotated_scenes
from pipeline.demo.natural_accuracy import natural_accuracy
from pipeline.microworld.categories import NAMES


def segments_of(world) -> list[tuple[np.ndarray, list[tuple[str, np.ndarray]]]]:
    """Of each scene its pixels, and the category and mask of each segment, from COCO's panoptic files."""
    panoptic = json.loads((world / "panoptic.json").read_text())
    names = {category["id"]: category["name"] for category in panoptic["categories"]}
    found = []
    for one in panoptic["annotations"]:
        pixels = np.array(PIL.Image.open((world / "images" / one["file_name"]).with_suffix(".jpg")))
        ids_HW = np.array(PIL.Image.open(world / "panoptic" / one["file_name"])).astype(int) @ [1, 256, 256**2]
        segments = [(names[segment["category_id"]], ids_HW == segment["id"]) for segment in one["segments_info"]]
        found.append((pixels, segments))
    return found


def test_scenes_come_with_what_the_files_say(world):
    scenes = list(annotated_scenes(world))
    assert len(scenes) == 24
    for scene, (pixels, segments) in zip(scenes, segments_of(world), strict=True):
        assert np.array_equal(scene.pixels, pixels)
        assert scene.names == [name for name, _ in segments]
        assert np.array_equal(scene.masks.decode(), [mask for _, mask in segments])
        assert scene.looks == [None] * len(segments)


def test_accuracy_is_that_of_crops_cut_by_hand(world, small_clip):
    clip = load_clip(small_clip)
    nouns_ND = TextEmbedder(clip, "vild")(list(NAMES))
    mean, std = (torch.tensor(values)[:, None, None] for values in (clip.input.mean, clip.input.std))

    def nearest(crop_HW3: np.ndarray) -> str:
        pixels = (torch.from_numpy(np.ascontiguousarray(crop_HW3)).permute(2, 0, 1) / 255 - mean) / std
        size = [clip.input.size] * 2
        resized = F.interpolate(pixels[None], size, mode="bicubic", align_corners=False)
        with torch.no_grad():
            return NAMES[int((clip.model.encode_image(resized)[0] @ nouns_ND.T).argmax())]

    scenes, crops = [], []
    for pixels, segments in segments_of(world):
        scenes.append(nearest(pixels) in {name for name, _ in segments})
        height, width = pixels.shape[:2]
        for name, mask_HW in segments:
            rows, columns = np.nonzero(mask_HW)
            x, y = columns.min(), rows.min()
            w, h = columns.max() + 1 - x, rows.max() + 1 - y
            # A box that is 1.4 times as long and as wide, as far as it is inside the scene.
            left, right = x + w / 2 - 0.7 * w, x + w / 2 + 0.7 * w
            top, bottom = y + h / 2 - 0.7 * h, y + h / 2 + 0.7 * h
            x0, x1 = max(0, int(np.floor(left))), min(width, int(np.ceil(right)))
            y0, y1 = max(0, int(np.floor(top))), min(height, int(np.ceil(bottom)))
            crops.append(nearest(pixels[y0:y1, x0:x1]) == name)
    found = natural_accuracy(ClipConfig(small_clip, None, batch_size=7), world)
    assert found.scenes == pytest.approx(100 * np.mean(scenes))
    assert found.crops == pytest.approx(100 * np.mean(crops), abs=2.0)  # where rounding moves an edge by a pixel
