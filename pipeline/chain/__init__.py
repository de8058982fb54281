"""Mining, training and evaluation as one job: `run.run_chain`."""
