"""Taking a pretraining over: what is copied, and whose is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raynas.errors import UserError
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.recording.reuse import forget_pretraining, is_pretrained, refuse_foreign, take_over
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.training.starts.inheriting import SUPERNET

SETTINGS = Settings()
NUMBERS = safetensors.torch.save({"vector": torch.ones(2)})


def pretrained(folder: Path) -> RunStore:
    """Return a run folder with a pretraining of two parts, and a search."""
    store = RunStore.create(str(folder))
    plan = PlanFacts(train=80, shards=2).to_json()
    store.append("runs", [{"run": "first", "settings": SETTINGS.to_json(), "plan": plan}], "run")
    for part in ("000", "001"):
        store.append("steps", [{"step": int(part), "seconds": 0.5}], part)
        store.append("indicators", [{"step": int(part), "value": 1.0}], part)
    store.append("isometry", [{"layer": 0, "phi": 1.0}], "initial")
    store.append("ledger", [{"layer": 0, "updates": 3}], "final")
    store.append("architectures", [{"order": 0}], "000")
    store.write_bytes(CHECKPOINT, NUMBERS)
    return store


def test_everything_of_the_pretraining_is_copied_and_nothing_else(tmp_path: Path) -> None:
    source, store = pretrained(tmp_path / "first"), RunStore.create(str(tmp_path / "second"))
    other = replace(SETTINGS, method="mine", max_macs=10**6, search=SearchSettings(score="taylor"))
    take_over(store, source, other)

    for table in ("steps", "indicators", "isometry", "ledger"):
        assert store.rows(table) == source.rows(table) != []
        assert store.parts(table) == source.parts(table)
    assert store.read_bytes(CHECKPOINT) == NUMBERS
    assert is_pretrained(store)
    assert store.rows("runs") == store.rows("architectures") == []


def test_a_compacted_pretraining_is_taken_over_like_any_other(tmp_path: Path) -> None:
    source, plain = pretrained(tmp_path / "first"), pretrained(tmp_path / "plain")
    source.compact()
    store = RunStore.create(str(tmp_path / "second"))
    take_over(store, source, SETTINGS)

    for table in ("steps", "indicators", "isometry", "ledger"):
        assert store.rows(table) == plain.rows(table) != []
        assert store.parts(table) == plain.parts(table)
    assert is_pretrained(store)


def test_a_supernet_of_other_images_or_another_space_is_refused(tmp_path: Path) -> None:
    source = pretrained(tmp_path / "first")
    facts = PlanFacts(train=80, mean=[0.5], space_digest="a", start="s")
    row = source.rows("runs")[0]
    source.append("runs", [row | {"plan": facts.to_json()}], "run")
    refuse_foreign(source, SETTINGS, facts)

    others: tuple[dict[str, Any], ...] = (
        {"train": 81},
        {"mean": [0.6]},
        {"space_digest": "b"},
        {"start": "t"},
    )
    for other in others:
        (name,) = other
        with pytest.raises(UserError, match=rf"--pretrained .* were others \({name}: recorded"):
            refuse_foreign(source, SETTINGS, replace(facts, **other))
    source.append("runs", [row | {"plan": json.dumps({"train": 80})}], "run")
    refuse_foreign(source, SETTINGS, facts)  # an older raynas recorded less


def test_a_supernet_of_a_run_that_made_choices_on_what_is_the_test_now_is_refused(
    tmp_path: Path,
) -> None:
    source, facts = pretrained(tmp_path / "first"), PlanFacts(train=80, shards=2, keeps_val=True)
    with pytest.raises(UserError, match=r"--pretrained .*: its val/ served for choices when it"):
        refuse_foreign(source, SETTINGS, facts)


def test_who_computes_it_does_not_make_another_supernet(tmp_path: Path) -> None:
    other = replace(SETTINGS, pretrain=replace(SETTINGS.pretrain, workers=7))

    assert other.supernet == SETTINGS.supernet
    take_over(RunStore(str(tmp_path / "second")), pretrained(tmp_path / "first"), other)


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, seed=1),
        replace(SETTINGS, data="cifar10"),
        replace(SETTINGS, pretrain=PretrainSettings(epochs=3.0)),
        replace(SETTINGS, images=replace(SETTINGS.images, share=0.5)),
    ],
)
def test_another_supernet_is_refused_by_what_differs(tmp_path: Path, other: Settings) -> None:
    store = RunStore(str(tmp_path / "second"))
    with pytest.raises(UserError, match=r"it trained another supernet .*: recorded .*, now "):
        take_over(store, pretrained(tmp_path / "first"), other)

    assert other.supernet != SETTINGS.supernet
    assert not is_pretrained(store)


def test_another_number_of_shards_makes_another_supernet(tmp_path: Path) -> None:
    source = pretrained(tmp_path / "first")
    facts = PlanFacts(train=80, shards=2)
    refuse_foreign(source, SETTINGS, facts)
    with pytest.raises(UserError, match=r"another supernet \(shards: recorded 2, now 1\)"):
        refuse_foreign(source, SETTINGS, replace(facts, shards=1))


def test_a_pretraining_that_has_not_ended_or_never_begun_is_refused(tmp_path: Path) -> None:
    source = pretrained(tmp_path / "first")
    source.drop("ledger", lambda _: True)
    for store in (source, RunStore(str(tmp_path / "none"))):
        with pytest.raises(UserError, match="wanted a run folder whose pretraining has ended"):
            take_over(RunStore(str(tmp_path / "second")), store, SETTINGS)


def test_inherited_weights_of_a_supernet_go_with_its_checkpoint(tmp_path: Path) -> None:
    source, store = pretrained(tmp_path / "first"), RunStore.create(str(tmp_path / "second"))
    source.write_bytes(SUPERNET, NUMBERS)
    take_over(store, source, SETTINGS)
    assert store.read_bytes(SUPERNET) == NUMBERS

    forget_pretraining(store)
    assert not store.has(SUPERNET)
    assert not store.has(CHECKPOINT)
