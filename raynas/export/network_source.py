"""A network as Python source: plain torch, to be read, without raynas.

torch's own layers are written as the calls that make them, containers as nested calls, raynas'
convolution that pads by its input's size as its class stands, and any other module as a small class
whose ``forward`` is read off (``forward_source``). The names of parameters stay as they are, so
that the network's weights fit.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from raynas.export.forward_source import SourceError, forward_source
from raynas.nets.padding import SameConv2d

_SQUARE = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding"})
_WIDTH = 72  # characters of a call on one line


@dataclass(frozen=True)
class Step:
    """One part of a network.

    Attributes:
        name: By which the network holds it, a Python name.
        module: What it is.
        note: Shown beside its call.
    """

    name: str
    module: nn.Module
    note: str


def network_source(steps: Sequence[Step], text: str, reserved: Iterable[str] = ()) -> str:
    """Return a class ``Network`` that does one step after another, and the classes it needs.

    Args:
        steps: The parts in order.
        text: The class's docstring, one line.
        reserved: Names that no other class may take.

    Raises:
        SourceError: A part cannot be written; the sentence names it.
    """
    classes = _Classes(reserved)
    built, called = [], []
    for number, step in enumerate(steps):
        try:
            built.append(f"self.{step.name} = {classes.expression(step.module)}")
        except SourceError as error:
            raise SourceError(f"{step.name}: {error}") from error
        argument = "images" if number == 0 else "x"
        verb = "return" if number == len(steps) - 1 else "x ="
        called.append(f"{verb} self.{step.name}({argument})  # {step.note}")
    network = "\n".join(
        (
            "class Network(nn.Module):",
            _indented(_docstring(text)),
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *(_indented(line, 2) for line in built),
            "",
            "    def forward(self, images: torch.Tensor) -> torch.Tensor:",
            *(_indented(line, 2) for line in called),
        )
    )
    return "\n\n\n".join((*classes.sources, network)) + "\n"


class _Classes:
    """The classes that are written so far; the same text is written once."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._reserved = {"Network", "nn", "torch", *reserved}

    @property
    def sources(self) -> list[str]:
        """The classes, each before those that use it."""
        return [f"class {name}{text}" for (_, text), name in self._names.items()]

    def expression(self, module: nn.Module) -> str:
        """Return an expression that makes such a module."""
        kind, children = type(module), _children(module)
        is_torch = getattr(nn, kind.__name__, None) is kind
        if kind.forward is nn.Sequential.forward and not _own_tensors(module):
            return _sequence({name: self.expression(child) for name, child in children.items()})
        if kind is nn.ModuleList:
            return _call("nn.ModuleList", [_listed(map(self.expression, children.values()))])
        if is_torch and not children:
            return _constructor(module, f"nn.{kind.__name__}")
        if kind is SameConv2d:
            text = inspect.getsource(kind).removeprefix(f"class {kind.__name__}").rstrip()
            return _constructor(module, self._name(kind.__name__, text))
        parts = {key: self.expression(child) for key, child in children.items()}
        return _call(self._name(kind.__name__, _class_body(module, children)), _arguments(parts))

    def _name(self, kind: str, text: str) -> str:
        """Return the name of a class by what stands behind ``class Kind``; it is kept if new."""
        if (kind, text) not in self._names:
            taken = {*self._names.values(), *self._reserved}
            numbers = (f"{kind}{number}" for number in range(2, len(taken) + 3))
            self._names[kind, text] = next(n for n in (kind, *numbers) if n not in taken)
        return self._names[kind, text]


def _class_body(module: nn.Module, children: Iterable[str]) -> str:
    """Return what stands behind the name of a class: all but its parts comes from its source."""
    arguments = {child: _argument(child) for child in children}
    lines = [
        f"self.{child} = {child}" if child == name else f"self.add_module({child!r}, {name})"
        for child, name in arguments.items()
    ]
    said = (type(module).__doc__ or "").strip().splitlines()
    return "\n".join(
        (
            "(nn.Module):",
            *([_indented(_docstring(said[0])), ""] if said else []),
            f"    def __init__({', '.join(('self', *arguments.values()))}):",
            "        super().__init__()",
            *(_indented(line, 2) for line in (*lines, *_own_tensors(module))),
            "",
            _indented(forward_source(module)),
        )
    )


def _own_tensors(module: nn.Module) -> list[str]:
    """Return the lines that make a module's own parameters and buffers, zeros as yet."""
    stored = module.state_dict()
    lines = []
    for name, parameter in module.named_parameters(recurse=False):
        lines.append(f"self.{name} = nn.Parameter(torch.zeros({tuple(parameter.shape)}))")
    for name, tensor in module.named_buffers(recurse=False):
        if name not in stored:
            raise SourceError(f"its buffer {name} is not saved with its weights")
        zeros = f"torch.zeros({tuple(tensor.shape)}, dtype={tensor.dtype})"
        lines.append(f"self.register_buffer({name!r}, {zeros})")
    return lines


def _constructor(module: nn.Module, name: str) -> str:
    """Return the call that makes a layer as torch prints it, without what is usual."""
    try:
        call = ast.parse(repr(module), mode="eval").body
        assert isinstance(call, ast.Call)
        values = [_literal(argument) for argument in call.args]
        named = {str(pair.arg): _literal(pair.value) for pair in call.keywords}
    except (SyntaxError, ValueError, AssertionError) as error:
        raise SourceError(f"torch does not tell how {name} was made ({module!r})") from error
    usual = inspect.signature(type(module)).parameters
    named = _untold(module, list(usual.values())[len(values) :]) | named
    shown = [repr(value) for value in values]
    for key, value in named.items():
        simple = _side(value) if key in _SQUARE else value
        if key not in usual or usual[key].default != simple:
            shown.append(f"{key}={simple!r}")
    return f"{name}({', '.join(shown)})"


def _untold(module: nn.Module, parameters: Iterable[inspect.Parameter]) -> dict[str, Any]:
    """Return what a layer was made with and may not tell, such as AvgPool2d's count_include_pad."""
    known = {each.name: getattr(module, each.name, each.default) for each in parameters}
    return {name: value for name, value in known.items() if isinstance(value, bool | int | float)}


def _literal(node: ast.expr) -> Any:
    """Return a value; torch prints some texts, such as padding=same, without quotes."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _side(value: Any) -> Any:
    """Return 3 for (3, 3)."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _children(module: nn.Module) -> dict[str, nn.Module]:
    """Return the parts of a module by name, also one that stands there twice."""
    parts = module.named_modules(remove_duplicate=False)
    return {name: part for name, part in parts if name and "." not in name}


def _sequence(parts: Mapping[str, str]) -> str:
    if list(parts) == [str(number) for number in range(len(parts))]:
        return _call("nn.Sequential", list(parts.values()))
    pairs = [f"({name!r}, {text})" for name, text in parts.items()]
    return _call("nn.Sequential", [_call("OrderedDict", [_listed(pairs)])])


def _argument(child: str) -> str:
    """Return a Python name for a part; those of an ``nn.Sequential`` are numbers."""
    return child if child.isidentifier() else f"part{child}"


def _arguments(parts: Mapping[str, str]) -> list[str]:
    """Return the arguments of a call, named where there are several."""
    if len(parts) == 1:
        return list(parts.values())
    return [f"{_argument(child)}={text}" for child, text in parts.items()]


def _call(name: str, arguments: Sequence[str]) -> str:
    line = f"{name}({', '.join(arguments)})"
    if "\n" not in line and len(line) <= _WIDTH:
        return line
    return "\n".join((f"{name}(", *(_indented(f"{argument},") for argument in arguments), ")"))


def _listed(items: Iterable[str]) -> str:
    return "\n".join(("[", *(_indented(f"{item},") for item in items), "]"))


def _docstring(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', "'")
    return f'"""{escaped}"""'


def _indented(text: str, depth: int = 1) -> str:
    return textwrap.indent(text, "    " * depth)
