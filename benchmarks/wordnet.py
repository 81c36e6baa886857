"""Write the table of ImageNet's superclasses that the package ships, from WordNet 3.0.

    apt-get install wordnet-base            Debian's package of WordNet's database
    python -m benchmarks.wordnet            writes src/phosphene/recipe/wordnet/imagenet.json.xz
    python -m benchmarks.wordnet --check    changes nothing; exit 1 where the table is another

The table holds the names of the 1000 classes in the order of the outputs, and every synset above at least one of them
with its names and its classes. Same input, same bytes.
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phosphene.model.sources.libraries import import_torchvision
from phosphene.recipe import superclasses

DATABASE = Path("/usr/share/wordnet/data.noun")
CLASSES = 1000


@dataclass(frozen=True)
class Synset:
    """A meaning: its names, and the synsets that are one step more general."""

    names: tuple[str, ...]
    parents: tuple[str, ...]


def read_synsets(database: Path) -> dict[str, Synset]:
    """Every noun synset by its wnid, as `man wndb` describes the file."""
    lines = database.read_text(encoding="ascii").splitlines()
    return dict(map(parse_synset, (line for line in lines if not line.startswith(" "))))


def parse_synset(line: str) -> tuple[str, Synset]:
    words = line.split(" | ")[0].split()
    count = int(words[3], 16)
    names = tuple(word.replace("_", " ") for word in words[4 : 4 + 2 * count : 2])
    pointers = words[5 + 2 * count :]
    rows = [pointers[start : start + 4] for start in range(0, len(pointers) - 3, 4)]
    parents = tuple(f"n{target}" for symbol, target, part, _ in rows if symbol in ("@", "@i") and part == "n")
    return f"n{words[0]}", Synset(names, parents)


def imagenet_wnids() -> tuple[str, ...]:
    """The wnid of each ImageNet class, in the order of the outputs."""
    import_torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_label_name(index) for index in range(CLASSES))


def find_ancestors(wnid: str, synsets: Mapping[str, Synset]) -> set[str]:
    parents = synsets[wnid].parents
    return {*parents, *(above for parent in parents for above in find_ancestors(parent, synsets))}


def make_table(synsets: Mapping[str, Synset], wnids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """The content of the file, column by column, which packs better than row by row.

    Superclasses of all classes are left out: to ask for them asks for nothing.
    """
    below: dict[str, list[int]] = {}
    for index, wnid in enumerate(wnids):
        for ancestor in find_ancestors(wnid, synsets):
            below.setdefault(ancestor, []).append(index)
    above = sorted(wnid for wnid, indices in below.items() if len(indices) < CLASSES)
    return {
        "classes": {"wnid": list(wnids), "names": join_names(synsets, wnids)},
        "superclasses": {
            "wnid": above,
            "names": join_names(synsets, above),
            "classes": [superclasses.pack_indices(below[wnid]) for wnid in above],
        },
    }


def join_names(synsets: Mapping[str, Synset], wnids: Sequence[str]) -> list[str]:
    return [", ".join(synsets[wnid].names) for wnid in wnids]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=Path, default=DATABASE)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    table = make_table(read_synsets(options.database), imagenet_wnids())
    if options.check:
        raise SystemExit(int(json.loads(lzma.decompress(superclasses.TABLE.read_bytes())) != table))
    plain = json.dumps(table, separators=(",", ":")).encode()
    content = lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)
    superclasses.TABLE.write_bytes(content)
    print(f"{superclasses.TABLE}: {len(content)} bytes, {len(table['superclasses']['wnid'])} superclasses")


if __name__ == "__main__":
    main()
