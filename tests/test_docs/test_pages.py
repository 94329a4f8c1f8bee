"""What the pages name exists: files, links, make targets, options, config keys, error messages."""

import ast
import copy
import importlib
import inspect
import itertools
import re
import shlex
from functools import lru_cache

import pytest
from markdown_pages import PAGES, ROOT, code_blocks, read, tables, without_code
from mmengine.config import Config
from mmpretrain.datasets import custom

from mmpretrain_mldecoder.datasets import COCOMultiLabel
from mmpretrain_mldecoder.evaluation import MultiLabelMAP

# Folders of this repository; data/ and work_dirs/ are the reader's.
PATH = re.compile(
    r'(?<![\w/.-])(?:\./)?((?:configs|docs|tests|tools|mmpretrain_mldecoder)/[\w./-]+)'
)

# Arguments of ours that the pages set.
ARGUMENTS = dict(
    test_evaluator=inspect.signature(MultiLabelMAP).parameters,
    dataset=inspect.signature(COCOMultiLabel).parameters,
)


@lru_cache
def config(path: str) -> Config:
    return Config.fromfile(ROOT / path)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')


@pytest.mark.parametrize('page', PAGES)
def test_files_exist(page):
    texts = [block.code for block in code_blocks(page)]
    texts += re.findall(r'`([^`\n]+)`', without_code(page))
    for text in texts:
        for path in PATH.findall(text):
            # the reader's own, and a folder that comes with the first measured result
            if 'NAME' not in path and path != 'docs/results':
                assert (ROOT / path.rstrip('.')).exists(), f'{page} names {path}'


@pytest.mark.parametrize('page', PAGES)
def test_relative_links_resolve(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', without_code(page)):
        if target.startswith('http'):
            continue
        file, _, fragment = target.partition('#')
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), f'{page} links to {target}'
        if fragment:
            headings = re.findall(r'^#+ (.+)$', path.read_text(encoding='utf-8'), re.M)
            assert fragment in map(anchor, headings), f'{page} links to {target}'


def commands(page: str) -> list[list[str]]:
    """Return the words of every command in the bash blocks of a page."""
    lines = [
        line
        for block in code_blocks(page)
        if block.language == 'bash'
        for line in block.code.replace('\\\n', ' ').splitlines()
    ]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


@pytest.mark.parametrize('page', PAGES)
def test_commands_have_targets_and_options_that_exist(page):
    for words in commands(page):
        if words[0] == 'make':
            target = words[1]
            assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.M), words
        tool = next((word for word in words if re.match(r'tools/.*\.(py|sh)$', word)), None)
        if tool is None:
            continue
        script = tool.replace('dist_', '').replace('slurm_', '').replace('.sh', '.py')
        options = (ROOT / script).read_text()
        options += (ROOT / 'mmpretrain_mldecoder/engine/runners/launch.py').read_text()
        for word in words[words.index(tool) :]:
            if word.startswith('--'):
                assert f"'{word}'" in options or f"('{word[2:]}'" in options, f'{tool} {word}'


def parent_of(key: str, cfg: Config):
    for name in key.split('.')[:-1]:
        cfg = cfg[int(name)] if name.isdigit() else cfg[name]
    return cfg


@pytest.mark.parametrize('page', PAGES)
def test_cfg_options_fit_the_config(page):
    for words in commands(page):
        if '--cfg-options' not in words:
            continue
        path = next(word for word in words if word.startswith('configs/'))
        options = words[words.index('--cfg-options') + 1 :]
        for option in itertools.takewhile(lambda word: '=' in word, options):
            key, _, value = option.partition('=')
            cfg = copy.deepcopy(config(path))
            parent_of(key, cfg)  # it is there
            cfg.merge_from_dict({key: value})


@pytest.mark.parametrize('page', PAGES)
def test_inline_config_keys_exist(page):
    """``test_evaluator.map_type=11point`` in a sentence is a key of the COCO configs."""
    cfg = config('configs/mldecoder/r50_coco.py')
    for text in re.findall(r'`(?:--cfg-options )?([a-z_]+\.[^`\s]+)=[^`]*`', without_code(page)):
        names, parent = text.split('.'), parent_of(text, cfg)
        assert parent is not None, f'{page} names {text}'
        if names[-2] in ARGUMENTS:
            assert names[-1] in ARGUMENTS[names[-2]], f'{page} names {text}'


def test_error_messages_are_in_the_code():
    source = inspect.getsource(custom) + '\n'.join(
        # strings that are broken over lines are joined again
        re.sub(r"'\n\s*f?'", '', path.read_text())
        for path in (ROOT / 'mmpretrain_mldecoder').rglob('*.py')
    )
    for page in PAGES:
        for header, *rows in tables(page):
            if header[0] == 'message':
                assert [row[0] for row in rows if row[0].strip('`') not in source] == [], page


@pytest.mark.parametrize('page', PAGES)
def test_python_blocks_parse_and_imports_exist(page):
    """Most Python blocks need data and are not run; what they import from here is there."""
    for block in code_blocks(page):
        for node in ast.walk(ast.parse(block.code if block.language == 'python' else '')):
            if isinstance(node, ast.ImportFrom) and node.module.startswith('mmpretrain_mldecoder'):
                module = importlib.import_module(node.module)
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert missing == [], f'{page}: {node.module}'


# The field has other words for these: image, again, fix, skipped, continues, mismatch, dry run.
OLD_WORDS = re.compile(
    r'\b(pictures?|anew|ways? out|passed over|goes on from|misfits?|rehears\w*)\b', re.I
)


def test_words_are_the_field_s():
    """In the pages, and in what the package, the tools and the examples say."""
    files = [ROOT / page for page in PAGES]
    for folder in ('mmpretrain_mldecoder', 'tools', 'examples', 'configs'):
        for suffix in ('py', 'sh', 'js', 'html', 'css', 'yml'):
            files += (ROOT / folder).rglob(f'*.{suffix}')
    found = {}
    for path in files:
        # inline code of a page, and the spelling of an option, may be old
        text = re.sub(r'`[^`\n]+`|--pictures', '', path.read_text(encoding='utf-8'))
        if words := OLD_WORDS.findall(text):
            found[str(path.relative_to(ROOT))] = words
    assert found == {}


@pytest.mark.parametrize('index', ['README.md', 'README_zh-CN.md'])
def test_every_page_is_listed(index):
    """Each page has one link in the table of the documentation."""
    (rows,) = (table for table in tables(index) if '](docs/install.md)' in str(table))
    pages = [str(path.relative_to(ROOT)) for path in (ROOT / 'docs').glob('*.md')]
    assert sorted(re.findall(r'\]\((docs/[^)]*)\)', str(rows))) == sorted(pages)


def test_every_extra_is_listed():
    extras = set(re.findall(r"^        '([a-z]+)': ", (ROOT / 'setup.py').read_text(), re.M))
    rows = [row for table in tables('docs/install.md') if table[0][0] == 'extra' for row in table]
    assert sorted(row[0].strip('`') for row in rows[1:]) == sorted(extras - {'coco'})


def test_pages_have_a_title_and_are_not_long():
    for page in PAGES:
        assert read(page).startswith('# '), f'{page} has no title'
        assert read(page).count('\n') < 300, f'{page} is long'
