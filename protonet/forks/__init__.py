"""Layer types of forks of Caffe: what other names ours go by, and which fork has which."""
