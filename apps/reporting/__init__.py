"""`report.html`: one page a run that says whether it worked, and why."""

from fewview.apps.reporting.page import NAME, render, write_report

__all__ = ["NAME", "render", "write_report"]
