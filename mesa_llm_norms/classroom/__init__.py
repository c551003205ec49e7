"""A class that votes on what a scene will bring, and plays the naming game among minds.

Nothing here knows of servers: ``web/phones.py`` and ``web/teacher.py`` serve it. Users play it from
the page, so nothing is listed.
"""
