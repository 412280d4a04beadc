"""What training reports, and how it looks: log lines in glog's shape, a live progress line."""
