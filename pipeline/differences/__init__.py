"""What differs between two mined datasets, and why."""
