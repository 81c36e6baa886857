"""The software that a map or a scan was made with."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch


def installed_versions() -> dict[str, str]:
    """Versions of this package, torch and Python."""
    return {"phosphene": version("phosphene"), "torch": str(torch.__version__), "python": platform.python_version()}
