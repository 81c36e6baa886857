"""Mutated and forged files, thousands a kind: nothing but a refusal in one line, or a file that means what it says."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.hostile.targets import Target, prepare
from phosphene.errors import PhospheneError

BATCH = 250  # mutations a process
SECONDS = 30  # that one file may take
CODE = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pty.spawn",
)

Outcome = dict[str, Any]  # number and kind of one mutation: refused, accepted, or a fault with its words


def fuzz(work: Path, names: Sequence[str], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` mutations of each target, batch by batch in processes of their own; finished batches are kept in
    `work`."""
    targets = prepare(work / "good")
    rows = []
    for name in names or targets:
        outcomes = [
            outcome
            for start in range(0, count, BATCH)
            for outcome in _run_batch(work, targets[name], range(start, min(count, start + BATCH)), seed)
        ]
        rows.append(_summarize(name, outcomes))
        print(rows[-1], flush=True)
    return rows


def _summarize(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    kinds = Counter(outcome["kind"] for outcome in outcomes)
    faults = [outcome for outcome in outcomes if outcome["kind"] not in ("refused", "accepted")]
    return {
        "file": name,
        "mutations": len(outcomes),
        "refused": kinds["refused"],
        "accepted": kinds["accepted"],
        "tracebacks": kinds["traceback"],
        "hangs": kinds["hang"],
        "crashes": kinds["crash"],
        "code run": kinds["code"],
        "silently other": kinds["other"],
        "most memory, MB": max(outcome["memory"] for outcome in outcomes),
        "slowest, s": max(outcome["seconds"] for outcome in outcomes),
        "faults": sorted({fault["words"] for fault in faults})[:20],
    }


def _run_batch(work: Path, target: Target, numbers: range, seed: int) -> list[Outcome]:
    record = work / f"{target.name.replace(' ', '-').replace(',', '')}-{seed}-{numbers.start}-{numbers.stop}.json"
    if record.exists():
        kept: list[Outcome] = json.loads(record.read_text())
        return kept
    outcomes: list[Outcome] = []
    content = target.path.read_bytes()
    while len(outcomes) < len(numbers):
        left = numbers[len(outcomes) :]
        outcomes += _run_in_child(target, content, left, seed)
        if len(outcomes) < len(numbers):  # it died at the next one
            words = f"process died at mutation {numbers[len(outcomes)]}"
            outcomes.append({"kind": "crash", "words": words, "seconds": 0.0, "memory": 0})
    target.path.write_bytes(content)
    record.write_text(json.dumps(outcomes))
    return outcomes


def _run_in_child(target: Target, content: bytes, numbers: range, seed: int) -> list[Outcome]:
    """The outcomes of as many mutations as a forked process survives."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        status = 0
        try:
            _work(target, content, numbers, seed, into)
        except BaseException:
            traceback.print_exc()
            status = 1
        os._exit(status)
    os.close(into)
    with os.fdopen(out) as lines:
        outcomes = [json.loads(line) for line in lines if line.endswith("\n")]
    os.waitpid(child, 0)
    return outcomes


def _work(target: Target, content: bytes, numbers: range, seed: int, into: int) -> None:
    ran: list[str] = []
    sys.addaudithook(lambda event, arguments: ran.append(event) if event in CODE else None)
    signal.signal(signal.SIGALRM, _hang)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    target.path.write_bytes(content)
    good = target.read(target.path)
    for number in numbers:
        mutation = target.change(Random(f"{seed}/{target.name}/{number}"), content)
        target.path.write_bytes(mutation)
        outcome = _try(lambda: _judge(target, good))
        if ran:
            outcome = {**outcome, "kind": "code", "words": f"{number}: {ran.pop()}"}
            ran.clear()
        if outcome["kind"] not in ("refused", "accepted"):
            outcome["words"] = f"{outcome['words']}"
            outcome["number"] = number
        os.write(into, (json.dumps(outcome) + "\n").encode())


class Hang(BaseException):
    """Not an `Exception`, which somebody might catch."""


def _hang(number: int, frame: object) -> None:
    raise Hang


def _judge(target: Target, good: Any) -> tuple[str, str]:
    meaning = target.read(target.path)
    return ("accepted", "") if target.faithful(meaning, good, target.path) else ("other", "accepted with other meaning")


def _try(judge: Callable[[], tuple[str, str]]) -> Outcome:
    started = time.perf_counter()
    signal.alarm(SECONDS)
    try:
        kind, words = judge()
    except PhospheneError as error:
        lines = str(error).splitlines()
        kind, words = ("refused", "") if len(lines) == 1 else ("traceback", f"{len(lines)} lines: {lines[0]}")
    except Hang:
        kind, words = "hang", f"more than {SECONDS} s"
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind, words = (
            "traceback",
            f"{type(error).__name__}: {str(error)[:80]} in {Path(frame.filename).name}:{frame.lineno}",
        )
    finally:
        signal.alarm(0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"kind": kind, "words": words, "seconds": round(time.perf_counter() - started, 3), "memory": memory}
