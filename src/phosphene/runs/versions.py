"""The software and the arithmetic that a map or a scan was made with."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version

import torch


def installed_versions() -> dict[str, str]:
    """Versions of this package, torch and Python, and what the last bit of a sum depends on besides: the build of
    torch, the processor's instructions and the number of threads. Same values, same map, bit for bit."""
    build = hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:8]
    return {
        "phosphene": version("phosphene"),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "build": build,
        "instructions": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": str(torch.get_num_threads()),
    }
