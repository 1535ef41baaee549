"""One page that tells what a training found: for a group meeting, and for the drawer.

Data flow: the folder of a training -> its held-out frames and their states -> findings (results of
koopman, baselines, observables) -> sections of text, tables and figures -> one HTML file.
"""

from kgdyn.report.findings import Findings, Note, Physics, study_states
from kgdyn.report.page import write_report
from kgdyn.report.run_record import RunRecord, read_run

__all__ = [
    "Findings",
    "Note",
    "Physics",
    "RunRecord",
    "read_run",
    "study_states",
    "write_report",
]
