"""Text of others, shown where it could be taken for commands: in terminals and in Markdown."""
