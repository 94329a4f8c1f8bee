"""Find calls in Python source that may run what a file or a text says."""

import ast

# Dotted names, as the imports of a file spell them out; of all of these a call is found.
_NEVER = {
    'builtins': ['eval', 'exec', 'compile', '__import__'],
    'os': ['system', 'popen'],
    'subprocess': ['getoutput', 'getstatusoutput'],
    'pickle': ['load', 'loads', 'Unpickler'],
    'marshal': ['load', 'loads'],
    'shelve': ['open'],
    'dill': ['load', 'loads'],
    'joblib': ['load'],
    'cloudpickle': ['load', 'loads'],
    'pandas': ['read_pickle'],
    'yaml': ['load', 'load_all', 'full_load', 'unsafe_load', 'unsafe_load_all'],
    'mmengine': ['load'],
    'mmengine.fileio': ['load'],
    'torch.hub': ['load', 'load_state_dict_from_url'],
    'torch.jit': ['load'],
    'torch.package': ['PackageImporter'],
    'torch.export': ['load'],
    'torch.utils.model_zoo': ['load_url'],
    'importlib': ['import_module'],
    'shutil': ['unpack_archive'],
}
NEVER = {f'{module}.{name}' for module, names in _NEVER.items() for name in names}
# Of these, a call is found unless it says so.
ONLY_WITH = {'torch.load': ('weights_only', True), 'numpy.load': ('allow_pickle', False)}
# Of any call, these arguments; and these methods, of whatever object.
ARGUMENTS = {'shell': True, 'allow_pickle': True, 'weights_only': False, 'trust_remote_code': True}
METHODS = {'extractall'}


def unsafe_calls(source: str) -> list[str]:
    """Return the names of the calls, in their order, with what is wrong in an argument."""
    tree = ast.parse(source)
    aliases = {name: f'builtins.{name}' for name in _NEVER['builtins']}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition('.')[0]
                aliases[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f'{node.module}.{alias.name}'
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, *rest = ast.unparse(node.func).split('.')
        name = '.'.join([aliases.get(first, first), *rest])
        arguments = {
            word.arg: word.value.value if isinstance(word.value, ast.Constant) else ...
            for word in node.keywords
        }
        if name in NEVER or name.rpartition('.')[2] in METHODS:
            found.append(name)
        elif name in ONLY_WITH and arguments.get(ONLY_WITH[name][0]) is not ONLY_WITH[name][1]:
            found.append(f'{name} without {ONLY_WITH[name][0]}={ONLY_WITH[name][1]}')
        else:
            found += [
                f'{name}({key}={arguments[key]})'
                for key, bad in ARGUMENTS.items()
                if key in arguments and arguments[key] in (bad, ...)
            ]
    return found
