"""A zoo of small clean and backdoored classifiers, to develop the scanner on and to measure it.

    python -m benchmarks.zoo train      train what is missing
    python -m benchmarks.zoo list       what there is
    python -m benchmarks.zoo check      do the models and the attacks hold what their cards say?

docs/zoo.md tells what is in it.
"""

from benchmarks.zoo.cards import Card, cards, clean_images, load, stamped, test_images, trigger_mask

__all__ = ["Card", "cards", "clean_images", "load", "stamped", "test_images", "trigger_mask"]
