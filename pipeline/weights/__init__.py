"""Checkpoints and models: bringing them to a node, and reading them without running what they hold."""
