"""Chapters of ImageNet's classes: about thirty families of WordNet that a person would leaf through."""

from __future__ import annotations

from collections.abc import Sequence

from phosphene.recipe.superclasses import Superclasses

# Title and wnids of each chapter. A class belongs to the first that it is below, so that the order decides: dogs before
# canines, vehicles before containers, which WordNet takes wagons for.
CHAPTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Dogs", ("n02084071",)),
    ("Wolves and foxes", ("n02083346",)),
    ("Cats", ("n02120997",)),
    ("Primates", ("n02469914",)),
    ("Hoofed animals", ("n02370806",)),
    ("Other mammals", ("n01861778",)),
    ("Water birds", ("n01844917",)),
    ("Other birds", ("n01503061",)),
    ("Snakes", ("n01726692",)),
    ("Other reptiles", ("n01661091",)),
    ("Amphibians", ("n01627424",)),
    ("Fish", ("n02512053", "n01482330")),
    ("Insects", ("n02159955",)),
    ("Other invertebrates", ("n01905661",)),
    ("Mushrooms", ("n12992868",)),
    ("Fruit and vegetables", ("n13134947", "n07707451")),
    ("Food and drink", ("n00021265", "n07555863", "n07881800")),
    ("Landscapes", ("n09287968",)),
    ("Vehicles", ("n04524313",)),
    ("Musical instruments", ("n03800933",)),
    ("Furniture", ("n03405265",)),
    ("Clothing", ("n03051540", "n03502509", "n03380867", "n03381126")),
    ("Buildings and structures", ("n04341686",)),
    ("Containers", ("n03094503",)),
    ("Electronics and appliances", ("n03278248", "n02729837", "n03082979")),
    ("Clocks and gauges", ("n04437953", "n03733925")),
    ("Sports and games", ("n04285146", "n03414162")),
    ("Tools", ("n03563967", "n04451818")),
    ("Covers", ("n03122748",)),
    ("Machines and devices", ("n03183080", "n03699975")),
    ("Other things", ("n00021939",)),
)
REST = "Everything else"


def assign_chapters(labels: Sequence[str]) -> tuple[str, ...]:
    """The title of the chapter of each class; empty titles where the classes are not ImageNet's."""
    superclasses = Superclasses(labels)
    if superclasses.offset is None:
        return ("",) * len(labels)
    titles = [REST] * len(labels)
    for title, wnids in reversed(CHAPTERS):  # so that the first chapter has the last word
        for wnid in wnids:
            found = superclasses.find(wnid)
            for index in found.classes if found is not None else ():
                titles[index] = title
    return tuple(titles)
