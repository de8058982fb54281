"""Segmentation by any class names over HTTP: a page for people and an API for programs, on Ray Serve.

`models` are what answers, plain and without Ray; `model_deployment` puts them behind a queue and gathers requests into
batches; `app` is what is asked over HTTP; `run` starts and ends everything.
"""
