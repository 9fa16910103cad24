"""Which classes are taken for which, as scikit-learn counts it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as oracle

from raynas.reporting.confidence import wilson
from raynas.reporting.confusion import class_accuracies, confusion_matrix, worst_pairs

CLASSES = 5
PAIRS = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=80
)


@given(PAIRS)
def test_matrix_accuracies_and_pairs_agree(pairs: list[tuple[int, int]]) -> None:
    label, answer = np.array(pairs, dtype=np.int32).T
    matrix = confusion_matrix(label, answer, CLASSES)
    classes = class_accuracies(label, answer, CLASSES)
    wrong = worst_pairs(label, answer, CLASSES**2)

    assert (matrix == oracle(label, answer, labels=range(CLASSES))).all()
    assert [each.right for each in classes] == matrix.diagonal().tolist()
    assert [each.images for each in classes] == matrix.sum(axis=1).tolist()
    for each in classes:
        assert (each.share is None) == (each.images == 0)
        assert each.interval == wilson(each.share or 0.0, each.images)
    assert all(matrix[of, taken_for] == count and of != taken_for for of, taken_for, count in wrong)
    assert sum(count for *_, count in wrong) == (label != answer).sum()
    assert [count for *_, count in wrong] == sorted((c for *_, c in wrong), reverse=True)
    assert worst_pairs(label, answer, 1) == wrong[:1]
