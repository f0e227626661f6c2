"""One self-contained page about runs: the question answered first, then everything it rests on.

`material.Material` is what the shell puts together; `sections.SECTIONS` lists the sections, each a function from it
to a `blocks.Section` or None; `page.page` writes them, the charts' data and the candidates as one HTML text.
"""
