"""ADE20K with 150 classes: the data of the scene parsing challenge 2016.

The label images hold 1 to 150, and 0 for everything else. `objectInfo150.txt` has a line for each class, with the
names in the last of its columns.
"""

from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages, listed_paths
from pipeline.evaluation.datasets.protocol import synonyms

_SOURCE = (
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip, the directory ADEChallengeData2016 of it "
    "(http://sceneparsing.csail.mit.edu)"
)


def open_ade20k_150(config: DatasetConfig) -> LabelledImages:
    """`images/validation`, `annotations/validation` and `objectInfo150.txt`.

    Raises:
        UserError: a part is missing or malformed.
    """
    split = config.split or "validation"
    files = Distribution(config.root, _SOURCE)
    images = f"images/{split}"
    image_ids = [name.removesuffix(".jpg") for name in files.names(images, ".jpg")]
    classes = _classes(files)
    return LabelledImages(
        name=f"ade20k_150/{split}",
        files=files,
        classes=classes,
        paths=listed_paths(files, image_ids, images, f"annotations/{split}"),
        codes=LabelCodes({index + 1: index for index in range(len(classes))}, ignored=[0]),
    )


def _classes(files: Distribution) -> list[tuple[str, ...]]:
    path = "objectInfo150.txt"
    rows = [line.split("\t") for line in files.lines(path)[1:]]
    numbers = [row[0].strip() for row in rows]
    if numbers != [str(number) for number in range(1, 151)]:
        raise UserError(
            f"{files.uri(path)} does not list the classes 1 to 150 under a line of headings, in columns separated by "
            f"tabs. It is part of {files.source}"
        )
    return [synonyms(row[-1]) for row in rows]
