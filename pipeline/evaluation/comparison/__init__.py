"""Two evaluations of the same images: which differences are larger than chance."""
