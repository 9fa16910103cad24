"""What a run records of its space: any other block or operation shows, and nothing else does."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from raynas.errors import UserError
from raynas.nets.operations import MBConv
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.spaces.digest import (
    _is_own,
    _module_of,
    _shape,
    _values,
    refuse_other_space,
    space_digest,
)
from raynas.spaces.loading import SPACES, load_space
from raynas.spaces.protocol import Space
from tests.builders import build_space, run_python, shipped, shipped_cells

SPACE = build_space("RNN")
FILE = '''
"""Mine."""

from dataclasses import dataclass

from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.operations import MBConv
from raynas.spaces.chain import ChoiceBlock, SearchSpace


@dataclass(frozen=True)
class Plain:
    """A convolution."""

    kernel: int

    @property
    def name(self):
        return f"plain{self.kernel}"

    def build(self, in_channels, out_channels, stride):
        return MBConv(self.kernel, 3).build(in_channels, out_channels, stride)


CANDIDATES = (Plain(3), Plain(5))
BLOCKS = (ChoiceBlock(CANDIDATES, 8, 8, 1),)
SPACE = SearchSpace("mine", ConvStem(8, 1), BLOCKS, PooledHead(16), 8)
'''


def written(folder: Path, *changes: tuple[str, str]) -> Space:
    """Return the space of a person's own file, changed here and there."""
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return load_space(str(folder / "mine.py"), SPACES)


def reversed_block(space: SearchSpace) -> SearchSpace:
    """Return a space with the candidates of its last layer the other way round."""
    last = space.blocks[-1]
    turned = replace(last, candidates=tuple(reversed(last.candidates)))
    return replace(space, blocks=(*space.blocks[:-1], turned))


@pytest.mark.parametrize(
    "other",
    [
        reversed_block(SPACE),
        build_space("RNNN"),
        build_space("RNN", identity=True),
        replace(SPACE, head=replace(SPACE.head, width=99)),  # type: ignore[type-var]
    ],
    ids=["candidates reversed", "a layer more", "identity", "head"],
)
def test_other_blocks_or_operations_are_told_apart(other: SearchSpace) -> None:
    assert space_digest(other) != space_digest(SPACE)
    with pytest.raises(UserError, match=r"^run: the blocks or operations of its space .* others"):
        refuse_other_space(space_digest(SPACE), other, "run")


def test_another_name_task_or_published_genotype_makes_no_other_space() -> None:
    task = replace(SPACE, name="renamed", resolution=99, num_classes=7)
    cells = shipped_cells()

    assert space_digest(task) == space_digest(SPACE)
    assert space_digest(replace(cells, genotypes=())) == space_digest(cells)
    assert space_digest(replace(cells, operations=cells.operations[::-1])) != space_digest(cells)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("darts_cells", "ff911fdd8046"),
        ("mobilenet_v2", "531bde4883f0"),
        ("mobilenet_v2_bnnas", "8e9ec5e9679e"),
        ("nas_bench_macro", "a17b27995abe"),
        ("shufflenet_v2", "c15543245863"),
        ("small_mobile", "9c83ea2fed87"),
    ],
)
def test_fields_that_operations_got_later_make_no_other_space_by_default(
    name: str, recorded: str
) -> None:
    assert space_digest(shipped(name)) == recorded


@pytest.mark.parametrize("change", [{"padding": "same"}, {"epsilon": 1e-3}])
def test_fields_that_operations_got_later_count_where_they_differ(change: dict[str, Any]) -> None:
    block = ChoiceBlock((MBConv(3, 2, **change),), 4, 4, 1)
    usual = ChoiceBlock((MBConv(3, 2),), 4, 4, 1)

    assert space_digest(replace(SPACE, blocks=(block,))) != space_digest(
        replace(SPACE, blocks=(usual,))
    )


def test_a_run_of_an_older_raynas_has_recorded_no_space_and_goes_on() -> None:
    assert refuse_other_space(None, SPACE, "run") is None  # to refuse is to raise


@pytest.mark.parametrize(
    "change",
    [
        ("(Plain(3), Plain(5))", "(Plain(5), Plain(3))"),
        ("MBConv(self.kernel, 3)", "MBConv(self.kernel, 6)"),
        ("ConvStem(8, 1)", "ConvStem(8, 2)"),
    ],
)
def test_a_person_s_own_operations_count_by_their_code(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    before = space_digest(written(tmp_path))

    assert space_digest(written(tmp_path)) == before
    assert space_digest(written(tmp_path, change)) != before


def test_comments_docstrings_and_layout_of_a_file_may_change(tmp_path: Path) -> None:
    before = space_digest(written(tmp_path))
    changes = ('"""Mine."""', '"""Ours."""'), ("    kernel: int", "    kernel: int  # pixels\n")

    assert space_digest(written(tmp_path, *changes)) == before


HOLDS = """
    activation: object = torch.nn.functional.relu
    partly: object = partial(torch.nn.ReLU, inplace=True)
    kind: object = torch.float32
    words: frozenset = frozenset({"a", "b", "c", "d"})
    own: object = lambda x: x
"""
HOLDING = (
    (
        "from dataclasses import dataclass",
        "from dataclasses import dataclass\nfrom functools import partial\nimport torch",
    ),
    ("    kernel: int\n", "    kernel: int" + HOLDS),
)


@pytest.mark.parametrize("changes", [(), HOLDING], ids=["plain", "functions, sets and kinds"])
def test_another_process_has_the_same_digests(
    tmp_path: Path, changes: tuple[tuple[str, str], ...]
) -> None:
    space = written(tmp_path, *changes)
    program = f"""
from raynas.spaces.loading import SPACES, load_space
from raynas.spaces.digest import space_digest
names = "mobilenet_v2", "darts_cells", {str(tmp_path / "mine.py")!r}
print([space_digest(load_space(name, SPACES)) for name in names])
"""
    shipped = [space_digest(load_space(name, SPACES)) for name in ("mobilenet_v2", "darts_cells")]

    for seed in ("1", "2"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONHASHSEED", seed)
            assert run_python(program) == str([*shipped, space_digest(space)])


def test_only_a_person_s_own_files_count_by_their_code(tmp_path: Path) -> None:
    """Another patch of Python or torch makes no other operations."""
    modules = {_module_of(each) for each in _values(written(tmp_path, *HOLDING))}

    assert {name for name in modules if _is_own(name)} == {"raynas_space_mine"}


def test_code_has_the_same_shape_in_every_python() -> None:
    """What some Pythons leave out, and others add empty, is not looked at."""
    tree = ast.parse("def f(x):\n    return f'own{x}'\n")
    ast.fix_missing_locations(tree)
    before = _shape(tree)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.type_params = []  # type: ignore[attr-defined]  # from 3.12 on
    function._fields = (*function._fields, "type_params")

    assert _shape(tree) == before
    assert before != _shape(ast.parse("def f(x):\n    return f'mine{x}'\n"))


class Named(NamedTuple):
    """An operation that is a tuple, too."""

    kernel: int

    @property
    def name(self) -> str:
        return f"named{self.kernel}"


class Plain:
    """An operation that is no dataclass."""

    def __init__(self, kernel: int) -> None:
        self.kernel, self.name = kernel, f"plain{kernel}"


@pytest.mark.parametrize("kind", [Named, Plain])
def test_operations_of_any_class_are_told_apart_by_what_they_hold(kind: Any) -> None:
    def digest(*kernels: int) -> str:
        candidates = tuple(kind(kernel) for kernel in kernels)
        return space_digest(
            replace(SPACE, blocks=(replace(SPACE.blocks[0], candidates=candidates),))
        )

    assert digest(3, 5) == digest(3, 5) != digest(5, 3)


def test_an_operation_that_has_no_text_of_its_own_is_known_by_its_class() -> None:
    class Silent:
        name = "silent"

        def build(self, *_: int) -> None:
            """Build nothing."""

    one, again = (
        replace(SPACE, blocks=(replace(SPACE.blocks[0], candidates=(MBConv(3, 3), Silent())),))
        for _ in range(2)
    )

    assert space_digest(one) == space_digest(again)
