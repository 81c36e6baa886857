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
            "ambiguous-outputs",
            True,
            "the model gives one number an image, or all outputs of the probe images lie in [0,1] and do not sum to 1, "
            "or they are percentages, minus log-probabilities or normalised features",
            "they may be logits, probabilities of labels, or no classes at all; a softmax of them would mean nothing",
            "say what they are with --outputs (softmax, sigmoid, label-probabilities, binary or binary-probability)",
        ),
        Check(
            "probabilities",
            False,
            "every output row of the probe images is non-negative and sums to 1",
            "the model ends in a softmax; its logarithm is taken, whose gradients vanish where the model is sure",
            "give the logits: drop the final softmax from the model",
        ),
        Check(
            "not-finite",
            True,
            "an output of the probe images is NaN or infinite",
            "weights are broken, or overflowed in half precision",
            "check the weights file, or load it in float32",
        ),
        Check(
            "not-finite-gradient",
            True,
            "a gradient of the outputs by the probe images is NaN or infinite, though the outputs are finite",
            "somewhere a square root, logarithm or division has no slope; a map of it would be NaN",
            "add a small constant inside the root, logarithm or denominator",
        ),
        Check(
            "depends-on-batch",
            True,
            "the outputs for a probe image change with the other images of the batch",
            "the model mixes the images of a batch, as batch norms without running statistics do",
            "give it running statistics (track_running_stats=True), or normalise each image by itself",
        ),
        Check(
            "zero-gradient",
            True,
            "the gradient of every output with respect to every pixel of the probe images is zero",
            "the outputs do not depend on the image: detached, quantised or dead layers",
            "check that the model is differentiable and was loaded with trained weights",
        ),
        Check(
            "random-outputs",
            True,
            "two calls on the same images differ",
            "the model draws random numbers at inference (dropout left on, sampling inside)",
            "make its forward deterministic in eval mode",
        ),
        Check(
            "no-weights",
            True,
            "parameters or buffers have no values: lazy layers that never ran, or the device `meta`",
            "the model was built and not filled",
            "load its weights, or run it once on an image, before it is passed",
        ),
        Check(
            "wrong-call",
            True,
            "the forward of the model needs other arguments than the images, or takes them by keyword only",
            "it is not called as `model(images)`",
            "wrap it in a module whose forward takes the images alone",
        ),
        Check(
            "wrong-input",
            True,
            "the model refuses images of the stated channels and size",
            "channels, size or layout differ from what the record or the options say",
            "give the right --channels and --size",
        ),
        Check(
            "wrong-output",
            True,
            "the outputs are not one row of at least two numbers an image",
            "the model is not a classifier: a detector, an encoder or a segmentation model",
            "wrap it so that it returns logits of shape (images, classes)",
        ),
        Check(
            "labels-mismatch",
            True,
            "the number of labels is not the number of outputs",
            "the label file belongs to another model, or a background class is missing",
            "give one label a line, in the order of the outputs",
        ),
        Check(
            "fixed-batch",
            False,
            "the model takes only one number of images at a time, as traced and exported ones may, or scales 8-bit "
            "activations by all images of a batch",
            "images go through it in parts of that size, padded, which is slower",
            "export it with a dynamic batch, or before it is quantised, where time matters; the map is right",
        ),
        Check(
            "averaged-weights",
            False,
            "the weights file holds the weights and a moving average of them, and both fit",
            "the average is what training scripts validate; it was taken",
            "for the others save them in a file of their own",
        ),
        Check(
            "gradient-mismatch",
            False,
            "a small step along the gradient, and a larger one, change the outputs of the probe images more than ten "
            "times as much as the gradient says, less than a tenth, or the other way",
            "part of the model has no gradient or another one than its outputs: rounding, casts to 8 bits, detached "
            "branches, own backward passes; the map follows what is left",
            "take rounding and `detach` out of the forward; read the map by its fidelity alone",
        ),
        Check(
            "dead-concept",
            False,
            "the map is zero: no sample of the estimate changed the concept's score",
            "the class or channel does not depend on the image: masked, pruned or never trained",
            "nothing helps where the output is constant; look at its weights",
        ),
        Check(
            "not-finite-elsewhere",
            False,
            "the model gives NaN or infinite outputs for some of the images that the finished map was measured on",
            "those images count as not seen; a division by the deviation of a flat image gives such",
            "add a small constant to the denominator",
        ),
        Check(
            "suspicious-normalisation",
            False,
            "images of the spectrum and contrast of photographs arrive at the first batch norm on another scale than "
            "it was trained on, and under another usual normalisation they do not",
            "the stated mean and std are perhaps not those of the training, and the maps are of another input",
            "compare --mean and --std with the training's own; the warning names those that fit",
        ),
        Check(
            "low-fidelity",
            False,
            "on fresh draws of its own distribution the concept is seen in fewer than half of the samples: a class as "
            "the strongest output, a label as more probable than not, a channel as the most active of its layer",
            "the picture does not show what the model needs to see; do not read it",
            "more iterations or restarts, or a larger radius",
        ),
        Check(
            "weaker-views",
            False,
            "two maps that were made under all of the recipe's views were not seen by the model; this one was made "
            "under weaker views or none, and is seen better",
            "the model knows the concept only where and as large as it was trained on; own fidelity is under the same "
            "weaker views",
            "read the picture as the concept in its place; `--views all --restarts 2` insists on all views",
        ),
        Check(
            "picture-not-seen",
            False,
            "the model does not see the concept in the bare unrefined or refined picture, on mid-grey without noise: a "
            "class is not the strongest output, a label not more probable than not, a channel not active",
            "the picture does not show what the map does to the samples that it is laid on, however high its fidelity",
            "read the map by its fidelity, not by its picture; more iterations, or another seed",
        ),
        Check(
            "repeated-layer",
            False,
            "the layer of a channel runs more than once in a forward, as a shared activation does",
            "the channel is that of the last time that the layer runs",
            "name a layer that runs once, such as the block around it, where another time is meant",
        ),
        Check(
            "unrefined",
            False,
            "no mask kept 95% of the map's fidelity",
            "the evidence is spread over the whole picture; the refined picture is the unrefined one",
            "nothing is wrong: read the raw map and its importance",
        ),
        Check(
            "data-using",
            False,
            "the distribution draws from a folder of photographs, or the concept is a direction fitted to images",
            "the map is no longer input-agnostic: what the photographs hold may show in it",
            "use a noise distribution, and classes, channels or given directions, for claims about the model alone",
        ),
        Check(
            "indistinct-direction",
            False,
            "the 95% interval of the share of images that a fitted direction tells right, without having been fitted "
            "to them, reaches one half",
            "the layer may not know the difference between the two folders; the picture may show an accident of them",
            "more images, a deeper layer, or folders that differ in nothing but the concept",
        ),
        Check(
            "not-folded",
            False,
            "folding batch normalisation into convolutions failed, or moved a logit by more than 1e-4",
            "the model shares, reorders or wraps layers as folding does not follow them; it runs unfolded, slower",
            "nothing is wrong with the map",
        ),
        Check(
            "no-layers",
            False,
            "the outputs of the model's layers cannot be observed, as of scripted modules",
            "no mask can be made of them, so the refined picture is the unrefined one, and no channel can be asked for",
            "give the module itself where you have it; nothing is wrong with the map",
        ),
        Check(
            "not-channels-last",
            False,
            "the model refuses images whose channels lie last in memory, and takes them where they lie first",
            "it reshapes with `view`, which depends on the layout; it runs in the usual layout, perhaps slower",
            "nothing is wrong with the map",
        ),
    )
}
