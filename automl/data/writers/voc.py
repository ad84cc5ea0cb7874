"""Pascal VOC: XML files of boxes that count from 1, or palette masks; lists of images per split."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from automl.data.writers.target import Target, numbers
from automl.dataset import Sample, Task
from automl.errors import UsageError

TASKS: tuple[Task, ...] = ("detection", "segmentation")


def write(target: Target) -> None:
    """Crowds are marked `difficult`, which is how VOC leaves a box out of the scores."""
    masks = target.dataset.task == "segmentation"
    _refuse_names(target)
    for split, samples in target.splits():
        for sample in samples:
            image = target.image(sample, "JPEGImages")
            stem = target.stem(sample)
            if masks:
                target.mask(sample, f"SegmentationClass/{stem}.png", palette=True)
            else:
                target.text(f"Annotations/{stem}.xml", _xml(target, sample, image))
        listed = "".join(f"{target.stem(sample)}\n" for sample in samples)
        target.text(f"ImageSets/{'Segmentation' if masks else 'Main'}/{split}.txt", listed)
    if masks:
        target.text("classes.txt", "".join(f"{name}\n" for name in target.dataset.names))
    target.lost_facts()


def _refuse_names(target: Target) -> None:
    """XML has no place for control characters, and readers trim spaces."""
    for name in target.dataset.names:
        if name != name.strip() or not name.isprintable():
            raise UsageError(f"Pascal VOC cannot hold the class name {name!r}", hint="rename it")


def _xml(target: Target, sample: Sample, image: str) -> str:
    root = Element("annotation")
    SubElement(root, "folder").text = "JPEGImages"
    SubElement(root, "filename").text = image.removeprefix("JPEGImages/")
    _children(SubElement(root, "size"), width=sample.width, height=sample.height, depth=3)
    for label, box, crowd in zip(sample.labels, sample.boxes, sample.crowd, strict=True):
        one = SubElement(root, "object")
        SubElement(one, "name").text = target.dataset.names[label]
        _children(one, pose="Unspecified", truncated=0, difficult=int(crowd))
        x0, y0, x1, y1 = numbers((box[0] + 1, box[1] + 1, box[2], box[3]))
        _children(SubElement(one, "bndbox"), xmin=x0, ymin=y0, xmax=x1, ymax=y1)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _children(element: Element, **values: object) -> None:
    for name, value in values.items():
        SubElement(element, name).text = str(value)
