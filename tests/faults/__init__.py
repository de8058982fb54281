"""Machines, processes and memory that fail in the middle of a job."""
