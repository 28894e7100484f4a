"""A Google of one's own: OAuth tokens and the part of Sheets v4 that the sheets sink relies on.

Real HTTP on loopback, for tests and for trying out: `python -m google_server` in tests/. The name
of this folder is not `google`, which is a namespace of Google's own packages.
"""

from google_server.book import Book, Tab
from google_server.server import Fault, GoogleServer

__all__ = ["Book", "Fault", "GoogleServer", "Tab"]
