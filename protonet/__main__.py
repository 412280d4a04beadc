"""``python -m protonet``."""

from protonet.cli import main

main()
