"""Where data comes from: databases, datums, transformations, prefetching, bundled MNIST."""
