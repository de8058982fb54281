"""How fast the models are fed, as ratios to the version before images were fed in bulk, commit a2f7a3d.

python -m tests.benchmarks.feed [clip operations busy proposals loader mine mine-vit] [--coco folder] [--rounds 3]
python -m tests.benchmarks.feed --gpu [--peak-tflops 989]

That commit is taken from the history of this checkout. Both versions are measured in processes of their own, in turn;
of each the best round counts, since whatever else the machine does makes a round slower. Seconds are CPU seconds,
but for `busy` and the images/s of `mine`, which need a machine that does nothing else.

clip        the CLIP stage with a tower that answers at once, on one core
operations  the way of a GPU, taken on the CPU: torch operations that start a kernel (all that the dispatcher is asked
            for but views and allocations), bytes that are sent, time of the host outside of operations
busy        a device that needs 1.3 times as long for a batch as the host, played by a wait: share of the time it works
proposals   100 soft masks of 120×160 → proposals of 480×640, noisy masks and (with --coco) outlined objects
loader      samples that a loader process reads and decodes, of drawn crops and (with --coco) of a mined dataset
mine        the whole job on two cores, small CLIP, `segments` proposals; mine-vit: with ViT-B-32, random weights

`--gpu` measures the CLIP stage, training and learned proposals against the bare models on a GPU instead.
"""

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.feed.parts import PARTS, Part
from tests.benchmarks.feed.versions import Version, both


def measure(part: Part, versions: list[Version], arguments: list[str], rounds: int) -> list[dict[str, float]]:
    """The figures of both versions, the best of all rounds of each; the old one comes first."""
    found: list[list[dict[str, float]]] = [[] for _ in versions]
    for _ in range(rounds):
        for version, figures in zip(versions, found, strict=True):
            own = [argument.format(version=version.tree.name) for argument in arguments]
            figures.append(version.measure(part.module, *own))
    better = {row.key: max if row.more_is_better else min for row in part.rows}
    return [
        {key: best(figure[key] for figure in figures) for key, best in better.items() if key in figures[0]}
        for figures in found
    ]


def main() -> None:
    """Print a table: what, old, new, ratio, target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--coco", type=Path, help="folder with images/ and annotations/; without it, drawn images")
    parser.add_argument("--rounds", type=int, help="3, but 1 of the whole job")
    parser.add_argument("--images", type=int, default=240, help="of `mine`")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--peak-tflops", type=float, help="of the GPU in 16-bit floats, dense")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    if options.gpu:
        from tests.benchmarks.feed.gpu import print_all

        return print_all(options.peak_tflops)
    coco = str(options.coco.resolve()) if options.coco else ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        versions = both(folder)
        photographs = folder / "photographs"
        print(f"{'':78} {versions[0].name:>10} {'now':>10} {'ratio':>7}  target")
        for part in (PARTS[name] for name in options.parts or PARTS):
            if part.needs_coco and not coco:
                continue
            if part.on_photographs and not photographs.exists():
                versions[1].measure("photographs", str(photographs), coco)
            arguments = part.arguments(folder, coco, options.images)
            old, new = measure(part, versions, arguments, options.rounds or part.rounds)
            for row in part.rows:
                if row.key in old:
                    print(row.line(old[row.key], new[row.key]), flush=True)
    return None


if __name__ == "__main__":
    main()
