"""Mining, training, evaluation and a report of them as one job: `run.run_chain`."""
