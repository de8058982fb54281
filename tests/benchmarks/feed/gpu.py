"""How busy a GPU is: CLIP stage, training and learned proposals, each against the bare models on the same GPU."""

import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.clip import Clip, RegionEncoder, load_clip
from pipeline.regions import RegionsConfig
from tests.benchmarks.feed.clip_stage import ignore, make_shard, make_vocabulary
from tests.benchmarks.feed.photographs import Photograph

_ARCHITECTURES = ("ViT-B-16", "ViT-L-14")
_BATCH, _IMAGES, _REGIONS, _ROUNDS = 256, 64, 100, 3


def print_all(peak_tflops: float | None) -> None:
    """Everything that is worth knowing about this GPU, or one line where there is none.

    Args:
        peak_tflops: of the GPU in 16-bit floats, dense.
    """
    if not torch.cuda.is_available():
        print(
            "GPU: torch sees none here; run `python -m tests.benchmarks.feed --gpu --peak-tflops N` where it sees one"
        )
        return
    print(f"GPU: {torch.cuda.get_device_name()}", flush=True)
    photographs = drawn_photographs()
    for architecture in _ARCHITECTURES:
        for precision in ("fp16", "bf16"):
            _clip_stage(architecture, precision, photographs, peak_tflops)
    peak = ["--peak-tflops", str(peak_tflops)] if peak_tflops else []
    for architecture in _ARCHITECTURES:
        _run("train", "--architecture", architecture, "--batch-size", "256", "--steps", "40", "--loaders", "12", *peak)
    _run("backends", "--backends", "maskformer", "sam2", "--scale", "base", "--images", "32", "--batch", "8")


def drawn_photographs() -> list[Photograph]:
    """Images of COCO's size with 100 boxes each."""
    from tests.benchmarks.regions import make_images

    images = make_images(_IMAGES, _REGIONS)
    return [Photograph(jpeg, list(masks), masks.height, masks.width) for jpeg, masks in images]


def _clip_stage(architecture: str, precision: str, photographs: list[Photograph], peak_tflops: float | None) -> None:
    from pipeline.mining.config import MatchingConfig
    from pipeline.mining.steps.match_regions import MatchRegions

    clip = load_clip(architecture, "random", precision=precision, device="cuda")
    encoder = RegionEncoder(clip, RegionsConfig(), _BATCH)
    stage = MatchRegions([encoder], MatchingConfig(), make_vocabulary(clip.vision.visual.output_dim))
    ready = torch.randn(_BATCH, 3, clip.input.size, clip.input.size, device=clip.device)
    ready = ready.to(memory_format=torch.channels_last)  # as they are cut
    regions = sum(len(photograph.codes) for photograph in photographs)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(0, regions, _BATCH):
                features = clip.region_vision(ready, None)
            features.float().cpu()

    def whole() -> None:
        stage(make_shard(photographs), ignore)

    bare_rate = -(-regions // _BATCH) * _BATCH / _seconds(bare)
    rate = regions / _seconds(whole)
    line = f"{architecture} {precision}: CLIP stage {rate:.0f} regions/s, bare model {bare_rate:.0f}"
    line += f", ratio {rate / bare_rate:.3f} (target 0.90)"
    if peak_tflops:
        line += f", {rate * _tflops(clip) / peak_tflops:.1%} of the peak"
    print(line, flush=True)


def _seconds(work: Callable[[], None]) -> float:
    """The median of three, after one to warm up."""
    seconds = []
    for _ in range(1 + _ROUNDS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[_ROUNDS // 2]


def _tflops(clip: Clip) -> float:
    """Of one region; a multiply-add counts as two operations."""
    # Where something requires gradients, attention is made of operations that can be counted.
    pixels = torch.zeros(1, 3, clip.input.size, clip.input.size, device=clip.device, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        clip.vision(pixels)
    return counter.get_total_flops() / 1e12


def _run(benchmark: str, *options: str) -> None:
    print(f"tests.benchmarks.{benchmark} {' '.join(options)}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.benchmarks.{benchmark}", *options], check=False)
