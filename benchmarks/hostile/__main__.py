"""`python -m benchmarks.hostile ATTACK`: see the package's docstring."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import benchmarks.hostile
from benchmarks.record import markdown, write_result

Rows = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=benchmarks.hostile.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("names", nargs="*", help="Targets, commands or cases; all without them.")
    parser.add_argument("--count", type=int, help="Mutations, kills, pairs or disks of each.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "phosphene-hostile")
    options = parser.parse_args(arguments)
    rows = ATTACKS[options.attack](options)
    shown = [{name: value for name, value in row.items() if name != "faults"} for row in rows]
    print(markdown(shown))
    for row in rows:
        for fault in row.get("faults", []):
            print(f"{next(iter(row.values()))}: {fault}")
    if not options.names:
        count = f" --count {options.count}" if options.count else ""
        settings = {"seed": options.seed, "count": options.count}
        rows = [{**row, "faults": len(row.get("faults", ()))} for row in rows]
        write_result(
            f"hostile-{options.attack}", f"python -m benchmarks.hostile {options.attack}{count}", settings, rows
        )


def _call(module: str, function: str, *names: str) -> Callable[[argparse.Namespace], Rows]:
    """The attack, which is imported when it is asked for."""

    def run(options: argparse.Namespace) -> Rows:
        attack = getattr(importlib.import_module(f"benchmarks.hostile.{module}"), function)
        rows: Rows = attack(options.work, *(getattr(options, name) for name in names))
        return rows

    return run


ATTACKS: dict[str, Callable[[argparse.Namespace], Rows]] = {
    "fuzz": _call("fuzz", "fuzz", "names", "count", "seed"),
    "kill": _call("kill", "attack", "names", "count", "seed"),
    "race": _call("race", "race", "count", "seed"),
    "bombs": _call("bombs", "attack"),
    "disk": _call("disk", "attack", "count"),
    "memory": _call("memory", "measure", "names"),
    "pages": _call("pages", "measure"),
    "threads": _call("threads", "measure"),
}

if __name__ == "__main__":
    main()
