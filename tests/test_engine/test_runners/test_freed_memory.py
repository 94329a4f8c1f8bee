"""Freed memory stays with a process that computes on the CPU."""

import json
import platform
import subprocess
import sys

import pytest

FAULTS = """
import json
import resource
import torch
from mmpretrain_mldecoder.engine.runners.freed_memory import keep_freed_memory

def faults():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        kept = [torch.ones(2**24) for _ in range(3)]  # 64 MB each, more than glibc keeps by itself
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with_gpu = [faults()]
torch.cuda.is_available = lambda: True
keep_freed_memory()
with_gpu.append(faults())
torch.cuda.is_available = lambda: False
keep_freed_memory()
print(json.dumps([with_gpu, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='a setting of glibc')
def test_the_kernel_gives_no_pages_again_without_a_gpu():
    command = [sys.executable, '-c', FAULTS]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    (before, with_gpu), on_cpu = json.loads(output)
    assert with_gpu > before / 2
    assert on_cpu < before / 10
