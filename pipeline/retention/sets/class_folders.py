"""A folder of images per class, as torchvision's `ImageFolder` reads it; classes in the order of the folders' names."""

from collections.abc import Sequence

import numpy as np

from pipeline.clip.template_choice import Templates
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import ClassifiedImages, File, Files
from pipeline.storage.in_threads import in_threads

_SOURCE = "your own data: a folder for each class, with its images"


def open_class_folders(config: ImageSetConfig, key: str) -> ClassifiedImages:
    """The folders below `root`, and the names that `classes` gives them.

    Raises:
        UserError: there are no folders or no images, the list of classes and the folders differ, or two classes have
            one name.
    """
    files = Distribution(config.root, _SOURCE, key)
    folders = files.folders()
    images = dict(zip(folders, in_threads(files.images, folders), strict=True))
    if config.classes is None:
        names = {folder: " ".join(folder.replace("_", " ").split()) or folder for folder in folders}
    else:
        names = _named(files, config.classes, key)
        _check_same(files, config.classes, names, images, key)
    name = f"class_folders/{files.root.rstrip('/').rpartition('/')[2]}"
    return from_folders(name, files, "", names, images, "imagenet")


def from_folders(
    name: str,
    files: Distribution,
    above: str,
    names: dict[str, str],
    images: dict[str, list[str]],
    templates: Templates,
    *,
    may_repeat: bool = False,
) -> ClassifiedImages:
    """The images of some class folders.

    Args:
        above: the folder that these folders are in, below the root.
        names: the name of each class by its folder; classes come in the order of the folders' names.
        images: names of the images by folder.
        may_repeat: classes may have one name, as two of ImageNet do.

    Raises:
        UserError: there are no images, or two classes have one name.
    """
    folders = sorted(names)
    classes = [names[folder] for folder in folders]
    if not may_repeat:
        check_unique(classes, files.key, files.root)
    paths = [(label, f"{folder}/{image}") for label, folder in enumerate(folders) for image in images.get(folder, ())]
    if not paths:
        raise files.missing("images in folders of classes")
    beginning = f"{above}/" if above else ""
    return ClassifiedImages(
        name=name,
        # Bytes of a name that are not UTF-8 would be in no table.
        image_ids=[path.encode(errors="replace").decode() for _, path in paths],
        pictures=Files([File(files.uri(beginning + path)) for _, path in paths]),
        notes=without_images([names[folder] for folder in folders if not images.get(folder)], len(folders)),
        labels=np.array([label for label, _ in paths], np.int64),
        classes=classes,
        templates=templates,
    )


def check_unique(classes: Sequence[str], key: str, where: str) -> None:
    """Check that no two classes have one name: an image could only be named rightly by chance.

    Raises:
        UserError: two have.
    """
    known: set[str] = set()
    for name in classes:
        if name in known:
            raise UserError(f"{key}: {where} has two classes {name!r}; CLIP knows them by their names: rename one")
        known.add(name)


def without_images(names: Sequence[str], count: int) -> tuple[str, ...]:
    """What is said of classes without images."""
    if not names:
        return ()
    return (
        f"{len(names)} of {count} classes have no images, but images can be taken for them: {first_of(names, 3)}; the "
        "mean per class is over the others",
    )


def _named(files: Distribution, path: str, key: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for line in files.lines(path):
        folder, separator, name = (part.strip() for part in line.partition(":"))
        if not folder or (separator and not name):
            raise UserError(
                f'{key}.classes: {files.uri(path)} holds "{line}", expected are lines like "n02084071: dog"'
            )
        if folder in names:
            raise UserError(f"{key}.classes: {files.uri(path)} lists {folder} twice")
        names[folder] = name or folder
    return names


def _check_same(files: Distribution, path: str, names: dict[str, str], images: dict[str, list[str]], key: str) -> None:
    unlisted = sorted(folder for folder, found in images.items() if found and folder not in names)
    if unlisted:
        raise UserError(
            f"{key}.classes: {files.uri(path)} does not list the folders {first_of(unlisted, 3)} of {files.root}: add "
            "them, as FOLDER: NAME"
        )
    absent = sorted(names.keys() - images.keys())
    if absent:
        raise UserError(
            f"{key}.classes: {files.uri(path)} lists {first_of(absent, 3)}, and {files.root} has no such folder: is it "
            "the list of another set?"
        )
