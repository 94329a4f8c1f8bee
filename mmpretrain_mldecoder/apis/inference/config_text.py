"""Read the text of a config as data, without running it."""

import ast
import math

MAX_CHARACTERS = 1_000_000
"""Longer texts are refused; those of the shipped configs have 3,000 to 8,000."""

# How MMEngine writes what Python has no literal for.
_NUMBERS = dict(inf=math.inf, nan=math.nan)


def read_config_text(text: str) -> dict:
    """Return the variables of a config as MMEngine writes it: ``name = value``, one after another.

    A value is a literal (number, text, list, tuple, dict, set, ``True``, ``None``, ...) or a call
    ``dict(key=value)`` or ``dict({key: value})`` of such. Nothing else is understood, so nothing
    in the text is run: no import, no other call, no reference to another variable, and ``_base_``
    has no meaning.

    Args:
        text (str): Such as ``meta['cfg']`` of a checkpoint.

    Raises:
        ValueError: If there is anything else in it; the line is named.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f'it has {len(text):,} characters, more than {MAX_CHARACTERS:,}')
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f'line {error.lineno} is no Python: {error.msg}') from None
    except (ValueError, MemoryError, RecursionError) as error:  # NUL; nested too deeply
        raise ValueError(f'it cannot be parsed: {error or type(error).__name__}') from None
    variables = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                variables[name] = _value(value)
            case _:
                raise _refused(statement, 'a line that is not NAME = VALUE')
    return variables


def _value(node: ast.expr):
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in _NUMBERS:
            return _NUMBERS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() | ast.Name() as operand):
            number = _value(operand)
            if type(number) not in (int, float):
                raise _refused(node, f'a minus before {number!r:.40}')
            return -number
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_key(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return _dict(node, [(key and _key(key), value) for key, value in pairs])
        case ast.Call(func=ast.Name(id='dict'), args=[] | [ast.Dict()] as first, keywords=words):
            pairs = [(None, argument) for argument in first]  # dict({2: 3}) as dict(**{2: 3})
            return _dict(node, pairs + [(word.arg, word.value) for word in words])
    raise _refused(node, f'{ast.unparse(node):.60}, which is no plain value')


def _dict(node: ast.expr, pairs: list[tuple]) -> dict:
    """Build a dict; a key of None is what ``**`` stands before."""
    built = {}
    for key, value in pairs:
        content = _value(value)
        if key is not None:
            built[key] = content
        elif isinstance(content, dict):
            built |= content
        else:
            raise _refused(node, '** before something that is no dict')
    return built


def _key(node: ast.expr) -> str | int | float | bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
        return node.value
    raise _refused(node, f'the key {ast.unparse(node):.60}, which is neither text nor number')


def _refused(node: ast.AST, what: str) -> ValueError:
    return ValueError(f'line {node.lineno} has {what}')
