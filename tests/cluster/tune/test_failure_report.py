"""What a person is told of a trial that failed."""

import pytest

from raynas.cluster.tune.failure_report import remedy, subject

REMEDIES = {
    "torch.OutOfMemoryError: CUDA out of memory": "it needs more memory",
    "OSError: [Errno 28] No space left on device": "free some space",
    "StageError: retraining, epoch 1: the loss is nan; lower": "--retrain.learning-rate",
    "ray.exceptions.ActorDiedError: The actor died": "its process or its machine was lost",
    '  File "search_spaces/mine.py", line 3, in build': "operation of the space",
    "KeyError: 'surprise'": "run the same command again",
}


@pytest.mark.parametrize("trace", REMEDIES)
def test_a_failure_that_is_known_has_its_own_remedy(trace: str) -> None:
    assert REMEDIES[trace] in remedy(trace)
    others = [words for other, words in REMEDIES.items() if other != trace]
    assert sum(words in remedy(trace) for words in others) <= 1  # some end alike


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"seed": 3}, "differentiable search with seed 3"),
        ({"architecture": "3-0"}, "architecture 3-0"),
        (
            {"architecture": "3-0", "trained_on": "all"},
            "architecture 3-0, trained on all images,",
        ),
        ({"rival": "mobilenet_v2", "chosen": "mobilenet_v2@0.5"}, "rival mobilenet_v2"),
        ({"teacher": "start", "chosen": "3-0"}, "teacher start"),
    ],
)
def test_it_is_told_what_a_trial_was_to_train(config: dict[str, object], words: str) -> None:
    assert subject(config) == words
