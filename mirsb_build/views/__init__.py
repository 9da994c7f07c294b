"""What people look at: the funnel (status), an instance's story (audit), the report page.

They read the store; only the report page is written.
"""

from mirsb_build.views.audit import Story, Title, Verification, find, list_stories, story, verify
from mirsb_build.views.funnel import Funnel, funnel, read_funnel
from mirsb_build.views.prov import prov
from mirsb_build.views.report import write_report

__all__ = [
    "Funnel",
    "Story",
    "Title",
    "Verification",
    "find",
    "funnel",
    "list_stories",
    "prov",
    "read_funnel",
    "story",
    "verify",
    "write_report",
]
