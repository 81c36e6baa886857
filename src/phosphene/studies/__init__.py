"""The paper's claims as experiments that anyone can re-run: one folder a study, and beside them what studies share.

    mislead     is an explanation of one input open to misleading attribution?
    bias        is an explanation by examples biased by its examples?
    concepts    which concepts, of which models, at which stage of training?

Each has the same parts: `experiment` measures and saves, `cases` selects numbers, `figures` draws, `tables` lists, and
`findings` writes the sentences and assembles the page.
"""
