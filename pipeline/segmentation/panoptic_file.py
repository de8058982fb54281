"""`panoptic.json`: what the workers wrote of each image, in one file of COCO's format."""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from pipeline import storage
from pipeline.in_threads import in_threads
from pipeline.json_lists import write_json_lists
from pipeline.segmentation.panoptic import categories


def write_panoptic(output: str, classes: Sequence[tuple[str, ...]], sources: Mapping[str, str]) -> None:
    """Write `panoptic.json` into the output of a segmentation job.

    Args:
        sources: URIs, by name, of the images that are done; `id` counts them from 1.

    Raises:
        OSError: storage failed, or the segments of an image are not there.
    """
    names = list(sources)
    sizes: list[tuple[int, int]] = []

    def annotations() -> Iterator[dict]:
        uris = [storage.join(output, f"segments/{name}.json") for name in names]
        for name, data in zip(names, in_threads(storage.read_bytes, uris), strict=True):
            found = json.loads(data)
            sizes.append((found["height"], found["width"]))
            yield {"image_id": len(sizes), "file_name": f"{name}.png", "segments_info": found["segments_info"]}

    def images() -> Iterator[dict]:
        for number, ((name, uri), (height, width)) in enumerate(zip(sources.items(), sizes, strict=True), start=1):
            file_name = name + posixpath.splitext(uri.partition("::")[0])[1]
            yield {"id": number, "file_name": file_name, "height": height, "width": width, "uri": uri}

    write_json_lists(
        storage.join(output, "panoptic.json"),
        {},
        # The images after the annotations, which say how large they are.
        {"annotations": annotations(), "images": images(), "categories": categories(classes)},
    )
