"""`python -m pipeline` is the command `tickets`: in a job's folder, the package need not be installed."""

from pipeline.cli import main

main()
