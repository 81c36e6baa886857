"""What each score asks and how to read it: the sentences of the report, the docs and the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """A score in words; `good` and `bad` are one sentence each on what such a value means."""

    title: str
    asks: str
    good: str
    bad: str


MEANINGS: dict[str, Meaning] = {
    "recognition": Meaning(
        "Recognition by other models",
        "Do models that had no part in a map call its bare picture by the concept's name?",
        "Top-1 near 100% with a log-probability near 0: the picture shows features that other models share.",
        "Top-1 near 0%: the picture shows something private to its own model, however sure that one is.",
    ),
    "agnosticity": Meaning(
        "Independence of the input",
        "Does the map make its concept the first answer on samples that it was never made on?",
        "The map wins on every ground while a random map of equal norm and another class's map win on none: the "
        "concept is in the map, not in the sample.",
        "The map wins no more often than its controls, or on quiet grounds only: it needs the samples it was made on.",
    ),
    "gain": Meaning(
        "Gain of the logit",
        "How does the concept's score move when a share of the map, of its negative or of a random map is laid on?",
        "The map's curve climbs far above the other two; a random map of equal norm does nothing.",
        "Curves that lie together: the score reacts to how strong a thing is laid on. Where the negative gains almost "
        "as much, the model knows the shapes in any polarity, and the sign of the map says little.",
    ),
    "sanity": Meaning(
        "Randomised models",
        "What is left of the map when its model's layers are drawn anew, from the output towards the image?",
        "Similarity falls to that of different classes (separation 0.5 or less), and the map's own class is no more "
        "alike than others by the same randomised model (own class about 0.5): the map shows what was learned.",
        "Similarity stays above it to the end: the map shows the architecture or the method, not the training.",
    ),
    "classes": Meaning(
        "Other classes",
        "How alike are the maps of different classes to the witnesses, and in their spectra?",
        "Clearly below the similarity of seeds of one class: asking for another class gives another map.",
        "Near 1: the maps differ by name only.",
    ),
    "stability": Meaning(
        "Stability over seeds",
        "Are maps of one class from independent seeds more alike than maps of different classes?",
        "A separation near 1: nearly every pair of seeds is more alike than nearly every pair of classes.",
        "A separation near 0.5: what the map shows is the accident of its seed.",
    ),
    "entanglement": Meaning(
        "Entanglement",
        "How much of another concept's own rise does the map of a concept cause?",
        "Near 0 or below for unrelated concepts: the model holds them apart.",
        "High for concepts that a person holds apart: for the model the evidence of one is evidence of the other.",
    ),
    "complexity": Meaning(
        "Complexity",
        "How concentrated is the importance over the picture?",
        "A Gini index near 1 and a small effective area: few places carry the evidence, and one can point at them.",
        "A Gini index near 0 and an area near 100%: the evidence is spread over everything.",
    ),
    "refinement": Meaning(
        "What refinement costs",
        "On draws that the mask was not chosen on: does the masked map keep the fidelity of the whole one?",
        "Fidelity after is that before, and the mask holds more of the evidence than of the area.",
        "Fidelity falls, or the mask holds no more evidence than area: the refined picture leaves out what counts.",
    ),
}
