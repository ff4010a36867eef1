"""One style for every page that the program makes: reports, the demo, reviews, and what `serve` shows."""

from medlocker.pages._render import Filters, environment, frame, percent, render_page, script, stylesheet
from medlocker.pages._thumbnails import embedded, shrunk, thumbnail

__all__ = [
    "Filters",
    "embedded",
    "environment",
    "frame",
    "percent",
    "render_page",
    "script",
    "shrunk",
    "stylesheet",
    "thumbnail",
]
