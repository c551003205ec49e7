"""The page on which populations are watched.

``page`` is the page, ``components`` are its views for Mesa's own page and for notebooks, ``server``
is what stands around it; these load Solara. Nothing else here knows what shows it.
"""
