"""The mining job: the steps of the pipeline composed on Ray Data. `run.mine` is the way in."""
