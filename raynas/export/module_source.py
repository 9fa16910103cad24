"""``model.py``: a network as one Python file that needs torch, Pillow, numpy and safetensors.

It is made of the network's source, of ``standalone.py`` and of ``modes.py``, which are copied, and
it is run before anyone gets it: what it computes must be what raynas' own network computes.
"""

import ast
import importlib.util
import inspect
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from raynas.data import pixel_formats
from raynas.export import module_template
from raynas.export.forward_source import SourceError
from raynas.export.network_source import Step, network_source
from raynas.export.parts import Part, show_shape

_MARK = "# from here on copied\n"
_TOLERANCE = 1e-6  # of the largest output
_WIDTH = 88


def module_source(title: str, parts: Sequence[Part], constants: dict[str, Any]) -> str:
    """Return the source of a stand-alone module.

    Args:
        title: What the network is, one line.
        parts: Its parts in order.
        constants: CLASSES, RESOLUTION, CHANNELS, BITS, RATIO, MEAN, STD and TEMPERATURE.

    Raises:
        SourceError: A part cannot be written as source; the sentence names it.
    """
    steps = [Step(part.name, part.module, f"N x {show_shape(part.leaving)}") for part in parts]
    shapes = f"images N x {show_shape(parts[0].arriving)} to logits N x {len(constants['CLASSES'])}"
    tail, rules = inspect.getsource(module_template), inspect.getsource(pixel_formats)
    copied = tail[tail.index(_MARK) + len(_MARK) :]
    network = network_source(steps, f"Maps {shapes}.", _names(tail, rules) | {"OrderedDict"})
    needed = ["from collections import OrderedDict"] if "OrderedDict(" in network else []
    blocks = (
        f'"""{_plain(title)}\n\n{_HOW_TO}"""',
        "\n".join(_imports((*needed, tail, rules))),
        "\n".join(_constant(name, value) for name, value in constants.items()),
        f"\n{network}",
        f"\n{_for_readers(_after_imports(rules))}",
        f"\n{_for_readers(copied)}",
    )
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


_HOW_TO = """\
Written by raynas; it needs torch, numpy, pillow and safetensors.

    python model.py IMAGE...

    import model
    network = model.load()
    logits = network(model.preprocess(Image.open(path)))

``build()`` returns the same network untrained.
"""


def largest_difference(
    source: str, weights: bytes, images: torch.Tensor, logits: torch.Tensor
) -> float:
    """Run a module in a folder of its own; return how far its outputs are from those wanted.

    Raises:
        SourceError: It does not run, or computes something else.
    """
    with tempfile.TemporaryDirectory(prefix="raynas-export-") as folder:
        (Path(folder) / "weights.safetensors").write_bytes(weights)
        path = Path(folder) / "model.py"
        path.write_text(source, encoding="utf-8")
        try:
            with torch.no_grad():
                found = import_file(path).load()(images)
            difference = float((found - logits).abs().max())
        except Exception as error:  # whatever generated code may raise
            raise SourceError(f"what was written does not run ({error!r})") from error
    most = _TOLERANCE * max(1.0, float(logits.abs().max()))
    if not difference <= most:  # NaN is not
        raise SourceError(f"what was written computes something else, by up to {difference:.2g}")
    return difference


def import_file(path: Path) -> ModuleType:
    """Return a Python file as a module that nothing else can import; it is executed."""
    spec = importlib.util.spec_from_file_location("exported_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder may be read-only
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def _plain(text: str) -> str:
    """Return a text that cannot end a docstring."""
    return text.replace("\\", "/").replace('"', "'")


def _constant(name: str, value: Any) -> str:
    """Return an assignment, its values in as many lines as they need."""
    line = f"{name} = {value!r}"
    if len(line) <= _WIDTH or not isinstance(value, tuple):
        return line
    lines = [f"{name} = (", "   "]
    for item in value:
        if len(lines[-1]) + len(repr(item)) + 2 > _WIDTH:
            lines.append("   ")
        lines[-1] += f" {item!r},"
    return "\n".join((*lines, ")"))


def _imports(sources: Iterable[str]) -> list[str]:
    """Return the imports of all sources, each once, Python's own first; none of raynas."""
    nodes = [node for source in sources for node in ast.parse(source).body]
    plain = [node for node in nodes if isinstance(node, ast.Import)]
    modules = {each.name: ast.unparse(node) for node in plain for each in node.names}
    names: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("raynas"):
            names.setdefault(str(node.module), set()).update(each.name for each in node.names)
    froms = {key: f"from {key} import {', '.join(sorted(found))}" for key, found in names.items()}
    lines: list[str] = []
    for ours in (True, False):
        lines += [""] if lines else []
        for found in (modules, froms):
            lines += [found[key] for key in sorted(found) if _is_python_s_own(key) == ours]
    return lines


def _is_python_s_own(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _after_imports(source: str) -> str:
    """Return a module's source without its docstring and imports."""
    body = ast.parse(source).body
    first = next(
        node for node in body if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
    )
    return "".join(source.splitlines(keepends=True)[first.lineno - 1 :])


def _for_readers(source: str) -> str:
    """Return a source without what is said to formatters and linters only."""
    return re.sub(r"  # (noqa: \w+$)|(?<=# )noqa: \w+ - ", "", source, flags=re.MULTILINE)


def _names(*sources: str) -> set[str]:
    """Return every name that sources define or import."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name):
                    found.add(name)
                case ast.alias(name=name, asname=other):
                    found.add(other or name)
    return found
