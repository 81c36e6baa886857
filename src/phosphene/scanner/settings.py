"""The numbers that decide how deep a scan goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from phosphene.errors import BadInput

POSITIVE = ("surrogates", "images", "images_many", "pair_images", "long_iterations", "restarts", "top")


@dataclass(frozen=True)
class Settings:
    """Iterations and images of every stage; a search of 0 iterations is left out.

    The statistics of a class depend on these numbers, the seed and the weights alone. Raises `BadInput` where a number
    makes no sense.
    """

    seed: int = 0
    surrogates: int = 4  # images of each class
    surrogate_iterations: int = 30
    stamps: int = 96  # random stamps of each kind
    images: int = 8  # surrogates that a candidate is applied to in one iteration
    images_many: int = 2  # the same for models of more than `pair_classes` classes
    patch_iterations: int = 100
    additive_iterations: int = 60
    colour_iterations: int = 30
    warp_iterations: int = 30
    square_iterations: int = 12
    square_classes: int = 100  # models of more classes have too many squares: theirs are not searched
    margin_starts: int = 4
    margin_iterations: int = 60
    permutation_iterations: int = 60
    permutation_starts: int = 3
    pair_images: int = 2
    pair_iterations: int = 40
    pair_classes: int = 12  # pairs are searched among so many; a model of more classes is searched with `images_many`
    top: int = 2  # classes of the highest scores that are searched longer
    controls: int = 2  # random other classes that are searched longer too
    long_iterations: int = 80
    restarts: int = 3  # long searches for the first suspect
    window_images: int = 8
    window_iterations: int = 16
    clear: float = 0.4  # p-value of the first statistics above which the later ones are left out; 1 measures them all
    backgrounds: str = ""  # digest of the pictures in place of surrogates; empty without any

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in asdict(self).items() if name != "backgrounds"}
        wrong = [name for name, value in numbers.items() if not value >= (name in POSITIVE) and name != "seed"]
        if wrong:
            given = ", ".join(f"{name}={numbers[name]}" for name in wrong)
            raise BadInput(f"settings of a scan are {given}; expected at least 1 of {', '.join(POSITIVE)}, 0 of others")
