"""Input that is meant to break something: many odd files, drawn from a seed."""
