"""Which of the state dicts in a file are a module's weights, and under which names: whatever fits, and only that."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product

from phosphene.errors import BadWeights
from phosphene.model.sources.weights import State

Names = Mapping[str, str]  # a name in the file → its name in the module
AVERAGED = re.compile(r"(^|[._])(ema|averaged?|swa|shadow)([._]|$)|_ema", re.IGNORECASE)
WRAPPERS = re.compile(r"(^|(?<=\.))(_orig_mod|module)\.")  # torch.compile, DataParallel
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")


def choose_state(states: Mapping[str, State], needed: Collection[str], where: str) -> tuple[str, State]:
    """The key of the state dict in `states` that has the names in `needed`, and its tensors under these names.

    Names as they are come first, so that a module that really has a part called `model` keeps it; then without, or
    with, a prefix that all of them share. Of several that fit, an average of the weights wins, as in the libraries.
    Where none fits, the nearest is returned as it is, for `fill` to say what is wrong. Raises `BadWeights` where two
    state dicts fit, or one only in part.
    """
    fitting = {key: state for key, given in states.items() if (state := rename(given, needed)) is not None}
    averaged = {key: state for key, state in fitting.items() if AVERAGED.search(key)}
    if len(averaged) == 1 or len(fitting) == 1:
        return next(iter((averaged or fitting).items()))
    if fitting:
        raise BadWeights(
            f"{where!r} holds several state dicts that fit ({', '.join(key or 'the file' for key in fitting)}); save "
            f"the one that you mean in a file of its own"
        )
    key, state = max(states.items(), key=lambda item: len(item[1].keys() & set(needed)))
    _refuse_part(state, needed, where)
    return key, state


def rename(state: State, needed: Collection[str]) -> State | None:
    """The state under the names that a module needs; None where no renaming gives exactly these."""
    wanted = _without_counters(needed)
    for names in _renamings(state, wanted):
        if len(set(names.values())) == len(names) and _without_counters(names.values()) == wanted:
            return {names[name]: tensor for name, tensor in state.items()}
    return None


def _renamings(state: State, needed: Collection[str]) -> Iterator[Names]:
    spellings = (
        {name: name for name in state},
        {name: WRAPPERS.sub("", name) for name in state},
        {name: OLD_DENSENET.sub(r"\1\2.", name) for name in state},
    )
    for spelling in spellings:
        for off, on in product(_shared_prefixes(spelling.values()), _shared_prefixes(needed)):
            yield {name: on + spelt[len(off) :] for name, spelt in spelling.items()}


def _shared_prefixes(names: Collection[str]) -> list[str]:
    """What all names begin with, from nothing to the longest: "", "model.", "model.net."."""
    parts = [name.split(".")[:-1] for name in names]
    levels = list(zip(*parts, strict=False))
    depth = next((k for k, level in enumerate(levels) if len(set(level)) > 1), len(levels))
    return ["".join(f"{part}." for part in parts[0][:k]) if k else "" for k in range(depth + 1)]


def _refuse_part(state: State, needed: Collection[str], where: str) -> None:
    """Raise where the names under one prefix fit, and others stand beside them: a loss, a teacher, a normalisation."""
    wanted = _without_counters(needed)
    for prefix in sorted({name[: dot.end()] for name in state for dot in re.finditer(r"\.", name)}):
        inside = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
        if wanted and _without_counters(inside) == wanted:
            beside = sorted(name for name in state if not name.startswith(prefix))
            raise BadWeights(
                f"{where!r} fits the architecture under {prefix!r}, and has beside it {', '.join(beside[:3])}"
                f"{f' and {len(beside) - 3} more' if len(beside) > 3 else ''}, which may change what it computes; save "
                f"the tensors under {prefix!r} alone"
            )


def _without_counters(names: Collection[str]) -> set[str]:
    return {name for name in names if not name.endswith("num_batches_tracked")}
