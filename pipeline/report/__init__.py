"""Reports to look at: one HTML file each, which needs no server and asks nobody for anything.

`page` is the shell (template, style, scripts, content security policy), `charts` draws, `dataset` reports on a mined
dataset.
"""
