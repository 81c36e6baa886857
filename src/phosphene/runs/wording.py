"""What the two numbers of a fidelity are called: they mean something else of classes, of labels and of channels."""

from __future__ import annotations

from phosphene.model.outputs import OUTPUTS
from phosphene.runs.scores import Scores

Words = tuple[str, str]

OF_CLASSES: Words = ("probability", "top-1")
OF_LABELS: Words = ("probability", "above 0.5")  # several labels may hold
OF_CHANNELS: Words = ("active", "first")  # beyond what noise reaches; beyond all others of the layer


def name_fidelity(scores: Scores, output_kind: str) -> Words:
    """The names of `Fidelity.probability` and `Fidelity.top1` of a map of a model with such outputs."""
    if scores.channel is not None:
        return OF_CHANNELS
    return OF_CLASSES if OUTPUTS[output_kind].exclusive else OF_LABELS


def describe_picture(scores: Scores) -> str | None:
    """What the bare pictures are taken for, where the model does not see the concept in both of them."""
    picture = scores.bare_pictures
    if picture is None or (picture.seen and picture.refined_seen):
        return None
    which = {(False, False): "bare picture", (False, True): "unrefined picture", (True, False): "refined picture"}
    share = picture.refined_probability if picture.seen else picture.probability
    guesses = scores.top5_refined if picture.seen else scores.top5
    name = which[picture.seen, picture.refined_seen]
    if scores.channel is not None:
        return f"the {name} does not activate it"
    return f"the {name} is predicted as {guesses[0].name} {guesses[0].probability:.2f}, not this ({share:.2f})"
