"""What a model or a map is checked for: each check says when it is raised, what that means and what to try.

A *fatal* check stops the work with `FailedCheck`; the others are written beside the map and shown with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from phosphene.errors import FailedCheck


@dataclass(frozen=True)
class Check:
    """A named doubt about a model or a map."""

    name: str
    fatal: bool
    raised_if: str
    means: str
    remedy: str

    def failed(self, got: str) -> FailedCheck:
        return FailedCheck(self.name, f"{got} [{self.name}]; {self.remedy}")


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(
            "probabilities", True,
            "every output row of the probe images is non-negative and sums to 1",
            "the model ends in a softmax; its gradients vanish where it is sure, and maps of it come out empty",
            "give the logits: drop the final softmax from the model",
        ),
        Check(
            "not-finite", True,
            "an output of the probe images is NaN or infinite",
            "weights are broken, or overflowed in half precision",
            "check the weights file, or load it in float32",
        ),
        Check(
            "zero-gradient", True,
            "the gradient of every output with respect to every pixel of the probe images is zero",
            "the outputs do not depend on the image: detached, quantised or dead layers",
            "check that the model is differentiable and was loaded with trained weights",
        ),
        Check(
            "random-outputs", True,
            "two calls on the same images differ",
            "the model draws random numbers at inference (dropout left on, sampling inside)",
            "make its forward deterministic in eval mode",
        ),
        Check(
            "wrong-input", True,
            "the model refuses images of the stated channels and size",
            "channels, size or layout differ from what the record or the options say",
            "give the right --channels and --size",
        ),
        Check(
            "wrong-output", True,
            "the outputs are not one row of at least two numbers an image",
            "the model is not a classifier: a detector, an encoder or a segmentation model",
            "wrap it so that it returns logits of shape (images, classes)",
        ),
        Check(
            "labels-mismatch", True,
            "the number of labels is not the number of outputs",
            "the label file belongs to another model, or a background class is missing",
            "give one label a line, in the order of the outputs",
        ),
        Check(
            "low-fidelity", False,
            "on fresh draws of its own distribution the map makes its concept top-1 in fewer than half of the samples",
            "the picture does not show what the model needs to see; do not read it",
            "more iterations or attempts, or a larger radius",
        ),
        Check(
            "unrefined", False,
            "no mask kept 95% of the map's fidelity",
            "the evidence is spread over the whole picture; the refined picture is the unrefined one",
            "nothing is wrong: read the raw map and its importance",
        ),
        Check(
            "data-using", False,
            "the distribution draws from a folder of photographs",
            "the map is no longer input-agnostic: what the photographs hold may show in it",
            "use a noise distribution for claims about the model alone",
        ),
        Check(
            "not-folded", False,
            "folding batch normalisation into convolutions moved a logit by more than 1e-4",
            "the model shares or reorders layers in a way that folding does not follow; it runs unfolded, slower",
            "nothing is wrong with the map",
        ),
    )
}  # fmt: skip
