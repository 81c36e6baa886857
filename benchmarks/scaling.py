"""What a class of an atlas costs: whether their number matters, what workers and Ray add, what is stored.

    OMP_NUM_THREADS=1 python -m benchmarks.scaling count       8 to 1000 classes in one process: time, memory
    OMP_NUM_THREADS=1 python -m benchmarks.scaling executors   the same classes serially, by processes, by Ray
    OMP_NUM_THREADS=1 python -m benchmarks.scaling large       16 classes of efficientnet_lite0, bit for bit
    OMP_NUM_THREADS=1 python -m benchmarks.scaling nodes       two Ray nodes on this machine, a worker of one killed
    OMP_NUM_THREADS=1 python -m benchmarks.scaling lite0       processor seconds of a class of efficientnet_lite0
    OMP_NUM_THREADS=1 python -m benchmarks.scaling storage     bytes of a class of efficientnet_lite0, by what is kept
    python -m benchmarks.scaling paper                         1000 classes of 100 models on 1, 16 and 256 nodes

Times are of the processors, of this process and of its workers, so that they hold whatever else runs; `count` and
`executors` use a small network, whose maps cost little beside what is around them: a harder case than a large one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch

import phosphene
from benchmarks.hostile.memory import small_network
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.atlas.classes import choose_classes
from phosphene.atlas.plan import peak_memory
from phosphene.atlas.run import make_atlas
from phosphene.core.memory import keep_freed_memory
from phosphene.method.fidelity import measure_fidelity
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.ray_cluster import Ray
from phosphene.runs.executors.serial import Serial
from phosphene.runs.make import make
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.storage import COMPACT, FULL, Storage

SIDE, OUTPUTS, BATCH = 32, 1000, 4  # the batch of a network of 224 pixels on a CPU
QUICK = replace(PRESETS["fast"], iterations=4)
COUNTS = (8, 64, 256, 1000)
SHARED = 64  # classes of the comparison of executors
ROUNDS = 3
LARGE = 16  # classes of the large network
CORES = 16  # of a node on paper
MODELS, NODES = 100, (1, 16, 256)
Rows = list[dict[str, Any]]


def make_network() -> Classifier:
    return small_network(SIDE, OUTPUTS).replace(batch_size=BATCH)


def choose(count: int, recipe: Recipe = QUICK) -> list[Classes]:
    return choose_classes(make_network(), f"0-{count - 1}", recipe)


def measure_counts() -> Rows:
    """Each count in a fresh process, whose peak is its own."""
    rows = []
    for count in COUNTS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(_measure_count, (count,)))
        print(rows[-1], flush=True)
    return rows


def _measure_count(count: int) -> dict[str, Any]:
    keep_freed_memory()
    torch.set_num_threads(1)
    classifier, moments = make_network(), []
    callbacks = Callbacks(on_finish=lambda _: moments.append(time.process_time()))
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm"
        make_atlas(classifier, choose(8), QUICK, out=warm)
        moments.clear()
        started = time.process_time()
        make_atlas(classifier, choose(count), QUICK, out=Path(folder) / "maps", callbacks=callbacks)
        whole = time.process_time() - started
    made = moments[-1] - started
    return {
        "classes": count,
        "ms a map": round(1000 * made / count, 1),
        "ms a class, read again": round(1000 * (whole - made) / count, 1),
        "peak memory, MB": round(peak_memory() / 1e6),
    }


def compare_executors() -> Rows:
    """Processor time of a class, of everything that works on it, after the workers have started."""
    executors: dict[str, Executor] = {
        "serial": Serial(),
        "processes, 1 worker": Processes(1),
        "processes, 2 workers": Processes(2),
        "ray, 1 worker": Ray(1),
        "ray, 2 workers": Ray(2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in executors}
    clocks: dict[str, list[float]] = {name: [] for name in executors}
    classes = choose(SHARED)
    for _ in range(ROUNDS):
        for name, executor in executors.items():
            with tempfile.TemporaryDirectory() as folder:
                spent, clock = _time(executor, make_network(), classes, QUICK, SHARED // 2, Path(folder))
            seconds[name].append(spent)
            clocks[name].append(clock)
            print(name, spent, clock, flush=True)
    alone = median(seconds["serial"])
    return [
        {
            "executor": name,
            "ms a class, processors": round(1000 * median(spent), 1),
            "throughput a core, of serial's": round(alone / median(spent), 3),
            "ms a class, clock": round(1000 * median(clocks[name]), 1),
        }
        for name, spent in seconds.items()
    ]


def _time(
    executor: Executor, classifier: Classifier, classes: Sequence[Classes], recipe: Recipe, warm: int, folder: Path
) -> tuple[float, float]:
    """Seconds a class of processors and of the clock, after the first `warm` maps, when all have opened it."""
    marks = []
    for _ in make(classifier, classes, recipe, folder, executor=executor, storage=COMPACT):
        marks.append((_spent(), time.monotonic()))
    (spent, clock), (end, now), count = marks[warm - 1], marks[-1], len(marks) - warm
    return (end - spent) / count, (now - clock) / count


def compare_on_lite0() -> Rows:
    """Classes of efficientnet_lite0 by `fast`, and how many of their maps are those of one process, bit for bit.

    Two workers are compared with two processes that know nothing of each other, at the same time: cores that share
    caches and memory are slower together, whoever keeps them busy.
    """
    classifier, recipe = phosphene.load("efficientnet_lite0"), PRESETS["fast"]
    batch = classifier.batch_size
    classes = choose_large(recipe, classifier)
    executors: dict[str, Executor] = {
        "serial": Serial(),
        "processes, 2 workers": Processes(2),
        "ray, 2 workers": Ray(2),
    }
    rows: Rows = []
    with tempfile.TemporaryDirectory() as root:
        for name, executor in executors.items():
            spent, clock = _time(executor, classifier, classes, recipe, 2 * batch, Path(root) / name)
            same = _count_same(Path(root) / "serial", Path(root) / name)
            rows.append(_describe_large(name, len(classes) - 2 * batch, spent, clock, f"{same} of {len(classes)}"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        spent, clock = (sum(values) / 2 for values in zip(*pool.map(_time_half, (0, 1)), strict=True))
    rows.append(_describe_large("serial, twice at once", LARGE, spent, clock / 2, "–"))
    for row in rows:
        row["throughput a core, of serial twice at once"] = round(spent / row["seconds a class, processors"], 3)
    return rows


def _describe_large(name: str, classes: int, spent: float, clock: float, same: str) -> dict[str, Any]:
    row = {"executor": name, "classes": classes, "seconds a class, processors": round(spent, 2)}
    row |= {"seconds a class, clock": round(clock, 2), "maps as serial's, bit for bit": same}
    print(row, flush=True)
    return row


def _time_half(half: int) -> tuple[float, float]:
    """Every second of the classes, in a process of its own."""
    keep_freed_memory()
    torch.set_num_threads(1)
    classifier, recipe = phosphene.load("efficientnet_lite0"), PRESETS["fast"]
    classes = choose_large(recipe, classifier)[half::2]
    with tempfile.TemporaryDirectory() as folder:
        return _time(Serial(), classifier, classes, recipe, classifier.batch_size, Path(folder))


def choose_large(recipe: Recipe, classifier: Classifier) -> list[Classes]:
    """The classes to be timed, and a batch for each of two workers before."""
    count = LARGE + 2 * classifier.batch_size
    return choose_classes(classifier, "0-999", recipe)[:: 1000 // count][:count]


def _count_same(one: Path, other: Path) -> int:
    return sum(
        torch.equal(SaliencyMap.load(path).map, SaliencyMap.load(other / path.name).map)
        for path in one.glob("*.safetensors")
    )


def _spent() -> float:
    """Processor seconds of this process and of all that it has started."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.Error:
            continue
    return total


def measure_nodes() -> Rows:
    """An atlas on two nodes, each with a raylet of its own; a worker is killed while it runs."""
    import ray
    from ray.cluster_utils import Cluster

    classifier = make_network().replace(batch_size=2)  # more jobs
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    nodes, killed = len([one for one in ray.nodes() if one["Alive"]]), []
    longer = replace(QUICK, iterations=60)

    def kill_one(_: object) -> None:
        for process in psutil.process_iter(["cmdline"]) if not killed else ():
            if any("ray::_run_on_node" in word for word in process.info["cmdline"] or ()):
                process.kill()
                killed.append(process.pid)
                return

    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "serial", Path(folder) / "ray"
        make_atlas(classifier, choose(16, longer), longer, out=here)
        atlas = make_atlas(
            classifier, choose(16, longer), longer, out=there, executor=Ray(2), callbacks=Callbacks(on_finish=kill_one)
        )
        same = _count_same(here, there)
    ray.shutdown()
    cluster.shutdown()
    row = {"nodes": nodes, "classes": 16, "workers killed": len(killed), "failures": len(atlas.failures)}
    return [{**row, "maps as serial's, bit for bit": same}]


def measure_lite0() -> Rows:
    """Two batches of efficientnet_lite0 by the preset `fast`, after one that pays for what is prepared once."""
    keep_freed_memory()
    classifier, recipe, moments = phosphene.load("efficientnet_lite0"), PRESETS["fast"], []
    callbacks = Callbacks(on_finish=lambda _: moments.append(time.process_time()))
    with tempfile.TemporaryDirectory() as folder:
        classes = choose_classes(classifier, "100-899", recipe)[::67]
        make_atlas(classifier, classes, recipe, out=Path(folder), callbacks=callbacks)
        whole = time.process_time()
    batch = classifier.batch_size
    made = (moments[-1] - moments[batch - 1]) / (len(classes) - batch)
    row = {"classes": len(classes), "processor seconds a class": round(made, 2)}
    return [{**row, "seconds a class, read again": round((whole - moments[-1]) / len(classes), 3)}]


def measure_storage() -> Rows:
    """What is lost of a map by what is kept of it: the fidelity that is measured again on what was read back."""
    classifier, recipe = phosphene.load("efficientnet_lite0").fold(), PRESETS["fast"]
    kinds = {
        "all, single": FULL,
        "all, half": Storage(halved=True),
        "pictures and png, half": Storage(development=False, halved=True),
        "png, half (default)": COMPACT,
        "none, half": replace(COMPACT, png=False),
    }
    names = ["goldfish", "beagle", "espresso", "castle"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        maps = [reference.load() for reference in make(classifier, names, recipe, Path(folder))]
        for kind, storage in kinds.items():
            place = Path(folder) / "kept"
            place.mkdir(exist_ok=True)
            for one in maps:
                replace(one, storage=storage).save(place / f"{one.concept}.safetensors")
            back = [SaliencyMap.load(place / f"{one.concept}.safetensors") for one in maps]
            changes = [abs(_probability(classifier, one, recipe) - one.scores.fidelity.probability) for one in back]
            rows.append(
                {
                    "kept": kind,
                    "MB a class": round(sum(file.stat().st_size for file in place.iterdir()) / len(maps) / 1e6, 2),
                    "largest change of a pixel": round(_change(maps, back), 4),
                    "largest change of fidelity": round(max(changes), 4),
                }
            )
            for file in place.iterdir():
                file.unlink()
            print(rows[-1], flush=True)
    return rows


def _probability(classifier: Any, saliency: SaliencyMap, recipe: Recipe) -> float:
    concept = Classes(saliency.targets, saliency.concept, recipe.score)
    return measure_fidelity(classifier, concept, saliency.map, recipe).probability


def _change(maps: list[SaliencyMap], back: list[SaliencyMap]) -> float:
    pairs = zip(maps, back, strict=True)
    return max((one.picture - other.picture).abs().max().item() for one, other in pairs)


def reckon() -> Rows:
    """100 atlases of 1000 classes from the costs that were measured: what each part takes if nothing else did."""
    (lite0,) = _rows("scaling-lite0")
    executors = {row["executor"]: row for row in _rows("scaling-executors")}
    stored = next(row for row in _rows("scaling-storage") if "default" in row["kept"])
    classes, cost = 1000 * MODELS, lite0["processor seconds a class"]
    waste = executors["ray, 1 worker"]["ms a class, processors"] - executors["serial"]["ms a class, processors"]
    survey = lite0["seconds a class, read again"]
    rows = []
    for nodes in NODES:
        cores = nodes * CORES
        making, reading = classes * (cost + max(waste, 0) / 1000) / cores, 1000 * survey * max(1, MODELS / nodes)
        rows.append(
            {
                "nodes": nodes,
                "cores": cores,
                "hours of maps": round(making / 3600, 2),
                "hours of reading again": round(reading / 3600, 2),
                "TB written": round(classes * stored["MB a class"] / 1e6, 3),
                "MB/s to the storage": round(classes * stored["MB a class"] / making, 2),
                "bottleneck": "maps" if making > reading else "reading again, one process a model",
            }
        )
    return rows


def _rows(name: str) -> Rows:
    rows: Rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


PARTS: dict[str, Callable[[], Rows]] = {
    "count": measure_counts,
    "executors": compare_executors,
    "large": compare_on_lite0,
    "nodes": measure_nodes,
    "lite0": measure_lite0,
    "storage": measure_storage,
    "paper": reckon,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args(arguments).part
    rows = PARTS[part]()
    print(markdown(rows))
    write_result(f"scaling-{part}", f"OMP_NUM_THREADS=1 python -m benchmarks.scaling {part}", {}, rows)


if __name__ == "__main__":
    main()
