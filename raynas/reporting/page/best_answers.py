"""What the best network answered on the test images: by class, its mistakes, its confidences."""

import base64

import numpy as np

from raynas.reporting.answers import RecordedAnswers
from raynas.reporting.calibration_error import BINS, Reliability
from raynas.reporting.confusion import (
    ClassAccuracy,
    class_accuracies,
    confusion_matrix,
    worst_pairs,
)
from raynas.reporting.figures.reliability import draw_reliability
from raynas.reporting.page.embedding import PageFigure, page_figure
from raynas.reporting.page.listings import MOST_ROWS
from raynas.reporting.page.parts import (
    Cell,
    Column,
    Picture,
    Table,
    percent,
    plain,
    quantity,
    share,
    word,
)
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.reporting.page.section import Section
from raynas.storage.outcome_rows import name_of_row

_MOST_IN_MATRIX = 20  # classes; of more, the pairs that are confused most
_MOST_PAIRS = 20
_TINTS = 6  # shades
_NAME = 40  # letters of a class's name


def by_class(snapshot: RunSnapshot) -> Section | None:
    """Return accuracies of the classes."""
    answers = snapshot.best_answers
    if answers is None:
        return None
    names = _names(snapshot, answers)
    classes = class_accuracies(answers.label, answers.answer, len(names))
    classes.sort(key=lambda each: (each.share is None, each.share, -each.images))
    worst = classes[0]
    low, high = map(percent, worst.interval)
    lead = (
        f"The best network on the {len(answers.label):,} test images, the class of the lowest "
        f"accuracy first. Of {names[worst.label]} {worst.right:,} of {worst.images:,} are right, "
        f"{percent(worst.share)}, so between {low} and {high} with 95 % confidence."
    )
    table = _classes(classes, names, snapshot.store.locate("tables/answers"))
    return Section("classes", "Accuracy by class", lead, tables=[table], is_open=True)


def confusion(snapshot: RunSnapshot) -> Section | None:
    """Return which classes are taken for which."""
    answers = snapshot.best_answers
    if answers is None:
        return None
    names = _names(snapshot, answers)
    if len(names) <= _MOST_IN_MATRIX:
        lead = (
            "A row is what test images are, a column what the best network took them for. Tints "
            "are shares of a row; a frame is around what is right."
        )
        matrix = confusion_matrix(answers.label, answers.answer, len(names))
        table = _matrix(matrix.tolist(), names)
    else:
        lead = "The pairs of classes that the best network confuses most often on test images."
        table = _pairs(answers, names)
        if not table.rows:
            return None
    return Section("confusion", "Confused classes", lead, tables=[table], is_open=True)


def mistakes(snapshot: RunSnapshot) -> Section | None:
    """Return pictures of the most confident wrong answers."""
    answers, best = snapshot.best_answers, snapshot.best
    if answers is None or best is None:
        return None
    name, title, wrong = "mistakes", "Worst mistakes", int((~answers.right).sum())
    if not wrong:
        return Section(name, title, "The best network made no mistake on the test images.")
    table = snapshot.store.table("mistakes", ["image", "picture"], parts=[name_of_row(best)])
    if not table.num_rows:  # the file is lost
        return None
    pictures = [
        _picture(row["picture"], row["image"], answers, _names(snapshot, answers))
        for row in table.to_pylist()
    ]
    pictures.sort(key=lambda pair: -pair[0])
    lead = (
        f"Of {wrong:,} wrong answers to test images those of the highest confidence, as the "
        "network sees the images. Look here for wrong labels, too."
    )
    return Section(name, title, lead, pictures=[each for _, each in pictures])


def calibration(snapshot: RunSnapshot) -> Section | None:
    """Return how honest confidences are, with and without the temperature."""
    answers, best = snapshot.best_answers, snapshot.best
    if answers is None or best is None:
        return None
    plain_one, scaled = answers.reliability, answers.scaled_reliability
    lead = (
        f"Of answers that are given with 80 % confidence 80 % should be right. Bars above the line "
        f"say that the network is better than it thinks, bars below that it is too sure; pale ones "
        f"stand for few images. The expected calibration error, over {BINS} bins of equal width, "
        f"is {percent(plain_one.error)} on the test images"
    )
    figures = [_diagram("As trained", plain_one)]
    if scaled is None:
        lead += (
            ". Exports give probabilities as they are: no temperature is known that makes them "
            "better by more than chance."
        )
    else:
        temperature = best["temperature"]
        lead += (
            f", and {percent(scaled.error)} where logits are divided by the temperature "
            f"{temperature:.3f}, which validation images gave. Exports do that in classify()."
        )
        figures.append(_diagram(f"With temperature {temperature:.3f}", scaled))
    return Section("calibration", "Confidence", lead, figures=figures)


def _names(snapshot: RunSnapshot, answers: RecordedAnswers) -> list[str]:
    """Return the classes' names; numbers where the run has not recorded them."""
    known = [str(name) for name in snapshot.plan.classes]
    most = int(max(answers.label.max(), answers.answer.max())) + 1
    return [*known, *map(str, range(len(known), most))]


def _classes(classes: list[ClassAccuracy], names: list[str], where: str) -> Table:
    """Return a row a class."""
    columns = [
        Column("Class", is_text=True),
        Column("Test images"),
        Column("Right"),
        Column("Accuracy", sorted_by=True),
        Column("95 % from"),
        Column("to"),
    ]
    rows = [
        [
            word(names[each.label]),
            quantity(each.images),
            quantity(each.right),
            share(each.share),
            *(share(end if each.images else None) for end in each.interval),
        ]
        for each in classes[:MOST_ROWS]
    ]
    left = len(classes) - len(rows)
    rest = f"{left:,} further classes, which are no worse, are in {where}." if left else ""
    return Table("Accuracy by class", columns, rows, rest)


def _matrix(confusion: list[list[int]], names: list[str]) -> Table:
    """Return the confusion matrix, tinted by the shares of its rows."""
    columns = [Column("is / taken for"), *(Column(_short(name)) for name in names)]
    rows = []
    for label, counts in enumerate(confusion):
        images = max(sum(counts), 1)
        cells = [
            _count(count, count / images, label == answer, f"{names[label]} as {names[answer]}")
            for answer, count in enumerate(counts)
        ]
        rows.append([Cell(_short(names[label])), *cells])
    return Table("Confusion matrix", columns, rows, sorts=False, look="heat dense")


def _count(count: int, part: float, is_right: bool, hint: str) -> Cell:
    tint = f"t{min(int(np.ceil(part * (_TINTS - 1))), _TINTS - 1)}" if count else ""
    look = f"{tint} right" if is_right else tint
    return Cell(f"{count:,}" if count else "", count, look.strip(), f"{hint}: {count:,}")


def _pairs(answers: RecordedAnswers, names: list[str]) -> Table:
    """Return the pairs of classes that are confused most often."""
    columns = [
        Column("Class", is_text=True),
        Column("Taken for", is_text=True),
        Column("Images", falls=True, sorted_by=True),
        Column("Of the class", falls=True),
    ]
    sizes = np.bincount(answers.label).tolist()
    rows = [
        [
            word(names[label]),
            word(names[answer]),
            plain(count, "{:,}"),
            share(count / sizes[label]),
        ]
        for label, answer, count in worst_pairs(answers.label, answers.answer, _MOST_PAIRS)
    ]
    return Table("Classes that are confused most often", columns, rows)


def _picture(
    content: bytes, image: int, answers: RecordedAnswers, names: list[str]
) -> tuple[float, Picture]:
    """Return a mistake's confidence and its picture."""
    label, answer = (_short(names[int(of[image])]) for of in (answers.label, answers.answer))
    confidence = float(answers.confidence[image])
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    lines = (f"taken for {answer}", f"{percent(confidence)} sure", f"labelled {label}")
    alt = f"Test image {image:,}, labelled {label}, taken for {answer}."
    return confidence, Picture(uri, alt, lines)


def _diagram(title: str, found: Reliability) -> PageFigure:
    known = [
        f"{percent(accuracy)} right at {percent(confidence)}"
        for accuracy, confidence in zip(found.accuracy, found.confidence, strict=True)
        if np.isfinite(accuracy)
    ]
    most = int(found.images.argmax())
    told = (
        f"Most answers, {int(found.images[most]):,} of {int(found.images.sum()):,}, have a mean "
        f"confidence of {percent(found.confidence[most])}, and {percent(found.accuracy[most])} of "
        "these are right."
    )
    alt = f"Reliability diagram, {title.lower()}. By bins of confidence: {'; '.join(known)}."
    return page_figure(title, alt, told, lambda axes: draw_reliability(axes, found), is_half=True)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
