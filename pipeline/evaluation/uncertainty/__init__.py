"""How far figures of an evaluation would have come out otherwise on other images of the same kind: the bootstrap."""
