"""The paper's claims as experiments that anyone can re-run: a folder a study, and what the studies share beside them.

    mislead     is an explanation of one input open to misleading attribution?
    bias        is an explanation by examples biased by its examples?
    concepts    what can be asked, of which model, and at which stage of its training?

Each has the same parts: `experiment` measures and keeps what it measured, `figures` draws it, `tables` lists it, and
`findings` puts it into words and the page together.
"""
