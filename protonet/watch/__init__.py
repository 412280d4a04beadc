"""What training reports, and how it looks: log lines in glog's shape, a live progress line."""

PANELS = ("loss", "score", "lr", "gradients")  # that a figure of runs has; --help lists them
