"""`python -m bouncesink`."""

from bouncesink.cli import main

main()
