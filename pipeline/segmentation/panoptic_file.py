"""`panoptic.json`: what the workers wrote of each image, in one file of COCO's format."""

import json
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline import storage
from pipeline.segmentation.panoptic import categories
from pipeline.storage.in_threads import in_threads
from pipeline.storage.json_lists import write_json_lists

_UNKNOWN_THINGS = (
    "Nobody has said which categories are countable things: isthing is set for one of them, so that programs which "
    "average over things and over stuff find both."
)


def write_panoptic(
    output: str, classes: Sequence[tuple[str, ...]], things: Collection[str] | None, sources: Mapping[str, str]
) -> None:
    """Write `panoptic.json` into the output of a segmentation job.

    Args:
        things: see `categories`.
        sources: URIs, by name, of the images that are done; `id` counts them from 1.

    Raises:
        OSError: storage failed, or the segments of an image are not there.
    """
    names = list(sources)
    sizes: list[tuple[int, int]] = []
    occurring: set[int] = set()

    def annotations() -> Iterator[dict]:
        uris = [storage.join(output, f"segments/{name}.json") for name in names]
        for name, data in zip(names, in_threads(storage.read_bytes, uris), strict=True):
            found = json.loads(data)
            sizes.append((found["height"], found["width"]))
            occurring.update(segment["category_id"] for segment in found["segments_info"])
            yield {"image_id": len(sizes), "file_name": f"{name}.png", "segments_info": found["segments_info"]}

    def images() -> Iterator[dict]:
        for number, ((name, uri), (height, width)) in enumerate(zip(sources.items(), sizes, strict=True), start=1):
            file_name = name + posixpath.splitext(uri.partition("::")[0])[1]
            yield {"id": number, "file_name": file_name, "height": height, "width": width, "uri": uri}

    def all_categories() -> Iterator[dict]:
        yield from categories(classes, things, occurring)

    write_json_lists(
        storage.join(output, "panoptic.json"),
        {} if things is not None else {"info": {"description": _UNKNOWN_THINGS}},
        # The others after the annotations, which say how large the images are and which categories occur.
        {"annotations": annotations(), "images": images(), "categories": all_categories()},
    )
