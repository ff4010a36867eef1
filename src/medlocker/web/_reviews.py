"""The pages of a review: the list, one image before and after, decisions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast, get_args

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.api.review import parse_box
from medlocker.errors import InputError, MedlockerError
from medlocker.review import NewMark, Review, ReviewItem, Verdict
from medlocker.review.pictures import ImagePair, draw_boxes, load_pair
from medlocker.review.sheet import describe
from medlocker.serving.cache import Cache
from medlocker.web._pictures import (
    MOST_CACHED_BYTES,
    answered,
    encoded,
    frame_of,
    side_of,
    whole_number,
    window_of,
    windowed,
)
from medlocker.web._shared import Form, Shared, go, read_form, shared, show
from medlocker.web._started import owner_name

PAGE = 24
_CACHE = Cache[bytes](len, most_bytes=MOST_CACHED_BYTES)
_PAIRS = Cache[ImagePair](lambda pair: pair.nbytes, most_bytes=256 << 20)
"""A page, its two pictures and every move of its sliders show the same image."""
_SHOWN: dict[str, Callable[[Review], Sequence[int]]] = {
    "all": lambda review: range(len(review.items)),
    "not decided": lambda review: review.standing.places[None],
    "to look at": lambda review: range(review.concerned),
    "approved": lambda review: review.standing.places["approved"],
    "rejected": lambda review: review.standing.places["rejected"],
    "another mark": lambda review: review.standing.places["another mark"],
}
"""Places of images in a review's list, ascending."""


async def listed(request: Request) -> Response:
    """Show the images of a review, or ask for the owner's key first."""
    found, at = shared(request), request.query_params.get("at", "")
    review = found.review(found.roots.folder(at))
    if review is None:
        keys = await found.work(lambda: found.roots.find(".sign.key"))
        return show(request, "review_open.html", at=at, keys=keys)
    await to_thread.run_sync(review.refresh)
    which = request.query_params.get("which", "all")
    places = _places(review, which)
    page = whole_number(request, "page", most=max((len(places) - 1) // PAGE, 0))
    return show(
        request,
        "review.html",
        at=at,
        counts=review.counts,
        needs_review=review.release.statement.needs_review,
        which=which,
        choices=list(_SHOWN),
        count=len(places),
        page=page,
        pages=(len(places) + PAGE - 1) // PAGE,
        items=[_facts(review, review.items[k]) for k in places[page * PAGE : (page + 1) * PAGE]],
    )


async def opened(request: Request) -> Response:
    """Open a review with the owner's keys."""
    form, found = await read_form(request), shared(request)
    release, owner = found.roots.folder(form.text("at")), owner_name(found.roots.file(form.text("owner")))
    await found.work(lambda: found.open_review(release, owner))
    return go("/review", at=form.text("at"))


async def one(request: Request) -> Response:
    """Show one image before and after, with what can be decided about it."""
    found, at = shared(request), request.query_params.get("at", "")
    review = await _refreshed(found, at)
    item = review.item(whole_number(request, "index", most=2**31))
    which = request.query_params.get("which", "all")
    places = _places(review, which)
    at_place = review.place(item.entry.index)
    number = bisect_left(places, at_place)
    is_shown = number < len(places) and places[number] == at_place
    failed, frames, size = "", 1, (0, 0)
    try:
        pair = await found.work(lambda: _pair(review, item))
        frames, size = pair.frames, (pair.marked.width, pair.marked.height)
    except MedlockerError as error:
        failed = str(error)
    return show(
        request,
        "review_image.html",
        at=at,
        which=which,
        item=_facts(review, item),
        failed=failed,
        frames=frames,
        size=size,
        place=number + 1 if is_shown else 0,
        count=len(places),
        before=_index_at(review, places, number - 1) if is_shown else None,
        after=_index_at(review, places, number + 1) if is_shown else None,
        kept_out=item.facts.kept_out,
        anatomy=item.facts.anatomy,
    )


async def pictured(request: Request) -> Response:
    """Show the original or the marked picture of an image."""
    found, at = shared(request), request.query_params.get("at", "")
    review = _open(found, at)
    item = review.item(whole_number(request, "index", most=2**31))
    version, side = request.query_params.get("version", "marked"), side_of(request)
    number, (low, high) = whole_number(request, "frame", most=10**6), window_of(request)
    with_boxes = request.query_params.get("boxes") == "1"

    def make() -> bytes:
        pair = _pair(review, item)
        image = pair.original if version == "original" else pair.marked
        colors = windowed(frame_of(image, number), low=low, high=high)
        if with_boxes:
            colors = draw_boxes(colors, item.facts.kept_out)
        return encoded(colors, side_px=side)

    key = (item.entry.file, review.release.path, version, number, side, low, high, with_boxes)
    try:
        return answered(await found.work(lambda: _CACHE.get(key, make)))
    except (MedlockerError, MemoryError):
        return Response("this image cannot be shown", 415, media_type="text/plain")


async def decided(request: Request) -> Response:
    """Keep a decision, and show the next image that waits for one."""
    form, found = await read_form(request), shared(request)
    at, which = form.text("at"), form.text("which") or "all"
    review = await _refreshed(found, at)
    verdict = form.text("verdict")
    if verdict not in get_args(Verdict):
        raise InputError("expected one of the decisions of this page")
    items = _chosen_by(review, form)
    new_mark = _new_mark(form) if verdict == "another mark" else None

    told = {"why": form.text("why"), "reviewer": form.text("reviewer")}
    await found.work(partial(review.decide, items, cast(Verdict, verdict), new_mark=new_mark, **told))
    if len(items) > 1:
        return go("/review", at=at, which=which)
    return go("/review/image", at=at, which=which, index=_next(items[0].entry.index, review))


def _next(decided_index: int, review: Review) -> int:
    """Return the image to look at next: the one behind in the list that waits for a decision."""
    waiting = review.standing.places[None]
    if not waiting:
        return decided_index
    behind = bisect_right(waiting, review.place(decided_index))
    return review.items[waiting[behind % len(waiting)]].entry.index


def _index_at(review: Review, places: Sequence[int], number: int) -> int | None:
    return review.items[places[number]].entry.index if 0 <= number < len(places) else None


def _pair(review: Review, item: ReviewItem) -> ImagePair:
    return _PAIRS.get((review.release.path, item.entry), lambda: load_pair(review, item))


def _chosen_by(review: Review, form: Form) -> list[ReviewItem]:
    if form.text("index"):
        text = form.text("index")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InputError("index: expected a whole number")
        return [review.item(int(text))]
    if not form.checked("sure"):
        raise InputError("expected the tick that you have looked at these images")
    waiting = set(review.standing.places[None])
    return [review.items[place] for place in _places(review, form.text("which")) if place in waiting]


def _new_mark(form: Form) -> NewMark:
    boxes = tuple(parse_box(line, what="regions") for line in form.text("keep_out").split())
    return NewMark.wanted(opacity=form.number("opacity"), size=form.number("size"), keep_out=boxes)


def _open(found: Shared, at: str) -> Review:
    review = found.review(found.roots.folder(at))
    if review is None:
        raise InputError("this review is not open", hint="open it with the owner's key first")
    return review


async def _refreshed(found: Shared, at: str) -> Review:
    """Return an open review with what others have decided meanwhile."""
    review = _open(found, at)
    await to_thread.run_sync(review.refresh)  # waits while another thread decides
    return review


def _places(review: Review, which: str) -> Sequence[int]:
    if which not in _SHOWN:
        raise InputError(f"expected one of {', '.join(_SHOWN)}")
    return _SHOWN[which](review)


def _facts(review: Review, item: ReviewItem) -> dict[str, Any]:
    decision = review.decision(item.entry.index)
    return {
        "index": item.entry.index,
        "name": item.entry.name,
        "verdict": "" if decision is None else decision.verdict,
        "why": "" if decision is None else decision.why,
        "reviewer": "" if decision is None else decision.reviewer,
        "time": "" if decision is None else decision.time,
        "concerns": [str(concern) for concern in item.concerns],
        "told": describe(item),
    }


ROUTES = [
    Route("/review", listed),
    Route("/review/open", opened, methods=["POST"]),
    Route("/review/image", one),
    Route("/review/picture", pictured),
    Route("/review/decide", decided, methods=["POST"]),
]
