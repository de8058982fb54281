"""What Ray Train's controller unpickles. It must import little: with torch and open_clip that process takes 1 GB."""

import pickle

from ray.train import UserCallback

from pipeline.errors import UserError


def train_worker(task: dict[str, bytes]) -> None:
    """The function that Ray Train runs on every worker.

    Args:
        task: a pickled `WorkerTask` under the key "task".
    """
    from pipeline.training.loop import Worker

    Worker(pickle.loads(task["task"])).run()


class StopAtUserErrors(UserCallback):
    """Ends the run where starting the workers again cannot help."""

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Called by Ray Train with what workers raised, by rank.

        Raises:
            UserError: one of them is one. Ray Train then does not start the workers again.
        """
        for exception in worker_exceptions.values():
            # Ray wraps what a worker raises, to keep its traceback.
            cause = getattr(exception, "_base_exc", exception)
            if isinstance(cause, UserError):
                raise cause
