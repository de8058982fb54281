"""Segment images by any class names over HTTP: a page and an API.

python -m jobs.serve [--config jobs/serve.yaml] [--serve.port 8000] --clip.architecture local-dir:./adapted/model \\
    --clip.weights null

Then open http://127.0.0.1:8000/, or send images to /api/segment; /openapi.json describes it. Ctrl-C or SIGTERM ends the
server. Exit codes: 0 ended by one of these, 1 the workers could not be started, 2 the configuration has to be changed.
"""

import sys
import threading

from jobs.command import Command
from pipeline.serving.config import ServerConfig


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve until interrupted; returns the exit code."""
    return Command("jobs.serve", __doc__, ServerConfig).run(lambda config, flags: _serve(config), arguments)


def _serve(config: ServerConfig) -> None:
    from pipeline.serving.run import running

    try:
        with running(config) as url:
            print(f"ready: {url} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended")


if __name__ == "__main__":
    sys.exit(main())
