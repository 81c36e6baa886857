"""Where jobs run decides how long they take, never what comes out."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import pytest
import torch

import phosphene.runs.open_models
from models import colour_classifier
from phosphene.errors import BadWeights
from phosphene.model.reference import ModelReference
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import Recipe
from phosphene.runs.executors import processes
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.registry import EXECUTORS, choose_executor
from phosphene.runs.jobs import Job, run_job
from phosphene.runs.open_models import OpenModels, refer_to
from phosphene.runs.saliency import SaliencyMap

QUICK = Recipe(iterations=2)


def jobs(folder, count: int) -> tuple[list[Job], OpenModels]:
    classifier, models = colour_classifier(), OpenModels()
    model = models.add(refer_to(classifier, folder), classifier)
    return [Job(model, (), (Classes((k,), str(k)),), QUICK, folder, 4) for k in range(count)], models


@pytest.mark.parametrize("kind", EXECUTORS)
def test_results_come_in_the_order_of_the_jobs(kind, tmp_path, ray_cluster):
    todo, models = jobs(tmp_path, 5)
    iterations = []
    results = list(EXECUTORS[kind]().run(todo, models, iterations.append))
    assert [one.concept for result in results for one in result.maps] == ["0", "1", "2", "3", "4"]
    assert sum(iterations) == 5 * QUICK.iterations
    assert all((tmp_path / f"{k}.safetensors").is_file() for k in range(5))


@pytest.mark.parametrize("kind", EXECUTORS)
def test_an_error_of_a_job_reaches_the_caller(kind, tmp_path, ray_cluster):
    (job,), models = jobs(tmp_path, 1)
    lost = Job(ModelReference("0" * 64, pickled=job.model.pickled), (), job.concepts, QUICK, tmp_path, 4)
    with pytest.raises(BadWeights, match="changed while maps were made"):
        list(EXECUTORS[kind]().run([lost], models, print))


def test_a_job_gives_the_same_map_in_any_executor(tmp_path, ray_cluster):
    maps = []
    for kind in EXECUTORS if find_spec("ray") else set(EXECUTORS) - {"ray"}:
        folder = tmp_path / kind
        folder.mkdir()
        todo, models = jobs(folder, 1)
        list(EXECUTORS[kind]().run(todo, models, print))
        maps.append(SaliencyMap.load(folder / "0.safetensors").map)
    assert all(torch.equal(one, maps[0]) for one in maps)


def test_a_model_is_opened_once_whatever_the_number_of_jobs(tmp_path, monkeypatch):
    todo, _ = jobs(tmp_path, 3)
    models, opened = OpenModels(), []
    unpickle = phosphene.runs.open_models._unpickle
    monkeypatch.setattr(phosphene.runs.open_models, "_unpickle", lambda content: opened.append(1) or unpickle(content))
    for job in todo:
        run_job(job, models)
    assert len(opened) == 1


def test_processes_are_started_once_where_none_dies(tmp_path, monkeypatch):
    """Each start imports torch again, and whatever a pool has in hand when it ends is made twice."""
    started = []

    class Pool(ProcessPoolExecutor):
        def __init__(self, *arguments):
            started.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(processes, "ProcessPoolExecutor", Pool)
    todo, models = jobs(tmp_path, 6)
    assert len(list(Processes(1).run(todo, models, print))) == 6
    assert len(started) == 1


def test_one_worker_is_this_process():
    assert choose_executor(1).in_process
    assert not choose_executor(2).in_process
