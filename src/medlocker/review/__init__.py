"""Looking at what was marked before it is given away: worst first, decided by people, signed by the owner."""

from medlocker.review._decision import Decision, NewMark, Verdict
from medlocker.review._facts import MarkingFacts
from medlocker.review._gate import refuse_unreviewed
from medlocker.review._items import Concern, ReviewItem
from medlocker.review._log import DecisionLog, review_folder
from medlocker.review._review import Counts, Review, open_review
from medlocker.review._table import write_csv

__all__ = [
    "Concern",
    "Counts",
    "Decision",
    "DecisionLog",
    "MarkingFacts",
    "NewMark",
    "Review",
    "ReviewItem",
    "Verdict",
    "open_review",
    "refuse_unreviewed",
    "review_folder",
    "write_csv",
]
