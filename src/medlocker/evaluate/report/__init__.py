"""The report of an evaluation: one page for people, JSON and CSV for programs, all in one folder."""

from medlocker.evaluate.report._advice import Advice, advise
from medlocker.evaluate.report._headline import Finding, auc_text, findings, gain_text, kappa_text
from medlocker.evaluate.report._json import ReportNotes, to_json
from medlocker.evaluate.report._write import check_report, write_report

__all__ = [
    "Advice",
    "Finding",
    "ReportNotes",
    "advise",
    "auc_text",
    "check_report",
    "findings",
    "gain_text",
    "kappa_text",
    "to_json",
    "write_report",
]
