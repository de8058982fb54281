"""What is measured, by which module of this package, and what is to be reached."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    key: str
    """Of the figures that the module reports."""
    ratio: float | None = None
    """New ÷ old to be reached."""
    value: float | None = None
    """Of the new version, to be reached."""
    more_is_better: bool = False

    def line(self, old: float, new: float) -> str:
        """The line, with the figures of both versions."""
        sign = "≥" if self.more_is_better else "≤"
        wanted = [f"ratio {sign} {self.ratio:g}"] if self.ratio is not None else []
        wanted += [f"{sign} {self.value:g}"] if self.value is not None else []
        ratio = f"{new / old:7.3f}" if old else f"{'':7}"
        return f"{self.what:78} {old:10,.4g} {new:10,.4g} {ratio}  {', '.join(wanted)}"


@dataclass(frozen=True)
class Part:
    """One module that measures."""

    module: str
    rows: tuple[Row, ...]
    arguments: Callable[[Path, str, int], list[str]] = lambda folder, coco, images: [str(folder / "photographs")]
    """From a folder for temporary files, the COCO dataset or "", and the images to mine. `{version}` in them becomes a
    name of the version."""
    on_photographs: bool = True
    needs_coco: bool = False
    rounds: int = 3


def _mining(architecture: str, most: int) -> Callable[[Path, str, int], list[str]]:
    return lambda folder, coco, images: [str(folder / "mine-{version}"), coco, str(min(images, most)), architecture]


def _loader_rows(crops: str) -> tuple[Row, ...]:
    samples = "samples per CPU second"
    return (
        Row(f"training loader, {crops} crops: {samples}", "samples_per_cpu_second", 3, more_is_better=True),
        Row("the training process beside it, CPU-µs a sample", "trainer_us_per_sample"),
        Row("cutting there if its device is the CPU, CPU-µs a sample", "cutting_us_per_sample"),
        Row(f"loader and that cutting: {samples}", "samples_per_cpu_second_with_cutting", more_is_better=True),
    )


PARTS = {
    "clip": Part(
        "clip_stage",
        (
            Row("CLIP stage without model: regions per CPU second", "regions_per_cpu_second", 3, more_is_better=True),
            Row("the same by the clock", "regions_per_second", more_is_better=True),
        ),
    ),
    "operations": Part(
        "operations",
        (
            Row("operations that start a kernel, a region", "operations_per_region", value=1),
            Row("the same with views and allocations", "calls_per_region"),
            Row("waits for the device, an image", "waits_per_image"),
            Row("bytes to the device, a region, beside the image", "bytes_per_region", value=4096),
            Row("bytes of the image, a region", "image_bytes_per_region"),
            Row("host beside operations, µs a region", "host_us_per_region", value=60),
            Row("decoding the JPEG, µs a region", "jpeg_us_per_region"),
        ),
    ),
    "busy": Part(
        "busy",
        (
            Row("share of the time that a played device works", "busy", value=0.95, more_is_better=True),
            Row("its time for a batch of 32, ms", "device_ms_per_batch"),
        ),
        rounds=1,
    ),
    "proposals": Part(
        "proposals",
        (
            Row("100 noisy soft masks → proposals, CPU-ms", "noisy_ms", 1 / 8),
            Row("100 real soft masks → proposals, CPU-ms", "real_ms", 1 / 8),
            Row("operations that start a kernel, an image", "operations", value=60),
            Row("the same with views and allocations", "calls"),
            Row("waits for the device, an image", "waits"),
        ),
        lambda folder, coco, images: [coco],
        on_photographs=False,
    ),
    "loader": Part(
        "loader",
        _loader_rows("drawn"),
        lambda folder, coco, images: [str(folder / "drawn-{version}")],
        on_photographs=False,
    ),
    "loader-mined": Part(
        "loader",
        _loader_rows("mined"),
        lambda folder, coco, images: [str(folder / "mined-{version}"), coco],
        on_photographs=False,
        needs_coco=True,
    ),
    "mine": Part(
        "mining",
        (
            Row("jobs.mine, small CLIP: images/s", "images_per_second", 3, more_is_better=True),
            Row("the same, CPU-ms an image", "cpu_ms_per_image", 1 / 3),
        ),
        _mining("", 10**9),
        on_photographs=False,
        rounds=1,
    ),
    "mine-vit": Part(
        "mining",
        (
            Row("jobs.mine, ViT-B-32: images/s", "images_per_second", 1, more_is_better=True),
            Row("the same, CPU-ms an image", "cpu_ms_per_image", 1),
        ),
        _mining("ViT-B-32", 60),
        on_photographs=False,
        rounds=1,
    ),
}
