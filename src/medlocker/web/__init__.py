"""`medlocker serve`: runs, reviews, grants and restoring on pages, in a browser of this machine.

It listens on the loopback address alone, serves whoever has the token of its start, touches files only below
the folders that it was given, and loads nothing from anywhere else. ``start.py`` begins, ``server.py``
listens, ``_guard.py`` decides who may ask; every other file is a family of pages.
"""
