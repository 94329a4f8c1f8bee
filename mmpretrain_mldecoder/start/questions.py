"""What label files leave open: arguments of a command, or questions in a terminal."""

import argparse
import inspect
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypeVar

from rich.console import Console
from rich.prompt import IntPrompt

from ..datasets.label_files import FORMATS, Answers
from ..errors import OpenQuestion
from ..fileio.terminal import printable

_SEVERAL = ('label_columns', 'no_label')
T = TypeVar('T')


def add_answers(parser: argparse.ArgumentParser) -> None:
    """Add an argument for each question that label files may leave open."""
    group = parser.add_argument_group(
        'labels', 'what the label files do not say; in a terminal it is asked where it matters'
    )
    for field in fields(Answers):
        group.add_argument(
            f'--{field.name.replace("_", "-")}',
            nargs='*' if field.name in _SEVERAL else None,
            choices=FORMATS if field.name == 'format' else None,
            help=_about(field.name),
        )


def _about(name: str) -> str:
    """Return what the docstring of the answers says about one of them."""
    text = inspect.cleandoc(Answers.__doc__ or '').partition('Attributes:\n')[2]
    found = re.search(rf'^    {name} \(.*?\): (.*?)(?=^    \w|\Z)', text, re.M | re.S)
    about = ' '.join(found[1].split()) if found else ''  # python -OO has no docstrings
    return about.replace('``', '').replace('%', '%%')


def read_answers(args: argparse.Namespace) -> Answers:
    """Return the answers among the arguments."""
    given = {field.name: getattr(args, field.name) for field in fields(Answers)}
    for name in _SEVERAL:
        given[name] = None if given[name] is None else tuple(given[name])
    return Answers(**given)


def with_questions(read: Callable[[Answers], T], answers: Answers) -> tuple[T, Answers]:
    """Read with the answers, and ask for those that are missing where there is a terminal."""
    console = Console(highlight=False)
    while True:
        try:
            return read(answers), answers
        except OpenQuestion as question:
            if not sys.stdin.isatty():
                raise
            console.print(f'\n{question.question}', markup=False)
            values = list(question.choices)
            for number, value in enumerate(values, 1):
                console.print(f'  {number}  {question.choices[value]}', markup=False)
            numbers = [str(number) for number in range(1, len(values) + 1)]
            number = IntPrompt.ask('Number', choices=numbers, console=console)
            answers = replace(answers, **{question.argument: values[number - 1]})


def as_option(question: OpenQuestion) -> str:
    """Return a question as the error of a command, with the option that answers it."""
    option = f'--{question.argument.replace("_", "-")}'
    several = question.argument in _SEVERAL
    choices = [
        f'  {option} {shlex.join(value) if several else shlex.quote(str(value))}: {meaning}'
        for value, meaning in question.choices.items()
    ]
    return printable(question.question) + '\n' + '\n'.join(map(printable, choices))
