"""What a job was told: its paths, its fingerprint, and which files of an earlier job it may delete."""
