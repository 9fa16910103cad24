"""What a module's ``forward`` computes, as Python source that needs torch alone.

``torch.fx`` records the operations of one module with its children as black boxes, and the
recording is tidied: slices as slices, values that are used once where they are used.

Source: torch.fx (Reed et al. 2022, arXiv 2112.08429).
"""

import ast
import builtins
import copy
from collections.abc import Iterator, Sequence

from torch import fx, nn

_WIDTH = 84  # characters of a line that holds merged operations
_KNOWN = frozenset({"self", "torch", *dir(builtins)})


class SourceError(ValueError):
    """Why a module cannot be written as Python source: the end of a sentence that names it."""


def forward_source(module: nn.Module) -> str:
    """Return the source of a method ``forward`` that computes what the module's own does.

    The module's mode (train or eval) is taken as it is.

    Raises:
        SourceError: It decides by the values of its inputs, or calls what is not torch's.
    """
    try:
        code = _Shallow().trace(module).python_code("self").src
    except Exception as error:  # whatever the operations of a person raise when they meet proxies
        why = (str(error).strip().splitlines() or ["it says no more"])[0]
        raise SourceError(
            f"its forward cannot be traced ({type(error).__name__}: {why})"
        ) from error
    function = ast.parse(code).body[0]
    assert isinstance(function, ast.FunctionDef)
    tidy = ast.fix_missing_locations(_Tidy().visit(function))
    tidy.body = _merged([line for line in tidy.body if not _is_forgetting(line)])
    _refuse_foreign_names(tidy)
    return ast.unparse(tidy)


class _Shallow(fx.Tracer):
    """Records one module; calls of its children stay calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        """Return True for every child."""
        return True


class _Tidy(ast.NodeTransformer):
    """Writes slices, items of containers and arguments as a person would."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Turn ``slice(None, 3, None)`` into ``:3`` and ``getattr(x, "0")`` into ``x[0]``."""
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name("slice"), args=[lower, upper, step]):
                return ast.Slice(*(_present(end) for end in (lower, upper, step)))
            case ast.Call(
                func=ast.Name("getattr"), args=[ast.Attribute() as of, ast.Constant(key)]
            ):
                if isinstance(key, str) and key.isdecimal():
                    return ast.Subscript(of, ast.Constant(int(key)), ast.Load())
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop the annotation: its names may not be known where the source goes."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop the annotation of what is returned."""
        self.generic_visit(node)
        node.returns = None
        return node


def _present(end: ast.expr) -> ast.expr | None:
    return None if isinstance(end, ast.Constant) and end.value is None else end


def _is_forgetting(line: ast.stmt) -> bool:
    """Return whether a line is one of those by which fx lets go of tensors: ``x = None``."""
    return (
        isinstance(line, ast.Assign)
        and isinstance(line.value, ast.Constant)
        and line.value.value is None
    )


def _merged(lines: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return the lines with each value that is used once, next, written where it is used."""
    merged = [lines[-1]]
    for line in reversed(lines[:-1]):
        match line:
            case ast.Assign(targets=[ast.Name(name)], value=value) if _may_move(name, merged):
                longer = _Replace(name, value).visit(copy.deepcopy(merged[0]))
                if len(ast.unparse(longer)) <= _WIDTH:
                    merged[0] = longer
                    continue
        merged.insert(0, line)
    return merged


def _may_move(name: str, lines: Sequence[ast.stmt]) -> bool:
    """Return whether moving a value into the next line keeps the order of what is computed."""
    uses = [node for line in lines for node in ast.walk(line) if _is_name(node, name)]
    if len(uses) != 1:
        return False
    for node in _in_order_of_evaluation(lines[0]):
        if _is_name(node, name):
            return True
        if isinstance(node, ast.Call | ast.BinOp | ast.UnaryOp | ast.Subscript | ast.Compare):
            return False
    return False


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _in_order_of_evaluation(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield from _in_order_of_evaluation(child)
    yield node


class _Replace(ast.NodeTransformer):
    def __init__(self, name: str, value: ast.expr) -> None:
        self._name, self._value = name, value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._value if node.id == self._name else node


def _refuse_foreign_names(function: ast.FunctionDef) -> None:
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    own = {argument.arg for argument in function.args.args}
    own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    foreign = sorted({node.id for node in names} - own - _KNOWN)
    if foreign:
        raise SourceError(f"its forward uses {', '.join(foreign)}, which torch does not have")
