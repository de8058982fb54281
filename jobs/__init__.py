"""What `ray job submit` runs, one thin file per job."""
