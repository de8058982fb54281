"""A small world of drawn scenes in which the whole method can be tried in minutes, offline."""
