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
            "ambiguous-outputs", True,
            "the model gives one number an image, or all outputs of the probe images lie in [0,1] and do not sum to 1",
            "they may be logits, probabilities of labels, or no classes at all; a softmax of them would mean nothing",
            "say what they are with --outputs (softmax, sigmoid, label-probabilities, binary or binary-probability)",
        ),
        Check(
            "probabilities", False,
            "every output row of the probe images is non-negative and sums to 1",
            "the model ends in a softmax; its logarithm is taken, whose gradients vanish where the model is sure",
            "give the logits: drop the final softmax from the model",
        ),
        Check(
            "not-finite", True,
            "an output of the probe images is NaN or infinite",
            "weights are broken, or overflowed in half precision",
            "check the weights file, or load it in float32",
        ),
        Check(
            "not-finite-gradient", True,
            "a gradient of the outputs by the probe images is NaN or infinite, though the outputs are finite",
            "somewhere a square root, logarithm or division has no slope; a map of it would be NaN",
            "add a small constant inside the root, logarithm or denominator",
        ),
        Check(
            "depends-on-batch", True,
            "the outputs for a probe image change with the other images of the batch",
            "the model mixes the images of a batch, as batch norms without running statistics do",
            "give it running statistics (track_running_stats=True), or normalise each image by itself",
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
            "more iterations or restarts, or a larger radius",
        ),
        Check(
            "unrefined", False,
            "no mask kept 95% of the map's fidelity",
            "the evidence is spread over the whole picture; the refined picture is the unrefined one",
            "nothing is wrong: read the raw map and its importance",
        ),
        Check(
            "data-using", False,
            "the distribution draws from a folder of photographs, or the concept is a direction fitted to images",
            "the map is no longer input-agnostic: what the photographs hold may show in it",
            "use a noise distribution, and classes, channels or given directions, for claims about the model alone",
        ),
        Check(
            "indistinct-direction", False,
            "the 95% interval of the share of images that a fitted direction tells right, without having been fitted "
            "to them, reaches one half",
            "the layer may not know the difference between the two folders; the picture may show an accident of them",
            "more images, a deeper layer, or folders that differ in nothing but the concept",
        ),
        Check(
            "not-folded", False,
            "folding batch normalisation into convolutions failed, or moved a logit by more than 1e-4",
            "the model shares, reorders or wraps layers as folding does not follow them; it runs unfolded, slower",
            "nothing is wrong with the map",
        ),
        Check(
            "no-layers", False,
            "the outputs of the model's layers cannot be observed, as of scripted modules",
            "no mask can be made of them, so the refined picture is the unrefined one, and no channel can be asked for",
            "give the module itself where you have it; nothing is wrong with the map",
        ),
        Check(
            "not-channels-last", False,
            "the model refuses images whose channels lie last in memory, and takes them where they lie first",
            "it reshapes with `view`, which depends on the layout; it runs in the usual layout, perhaps slower",
            "nothing is wrong with the map",
        ),
    )
}  # fmt: skip
