"""Ray Train's trainer, which ends with the last step where Ray has no dashboard, too."""

from typing import Any

from ray._private import worker as ray_worker
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback


class Trainer(TorchTrainer):
    """Leaves out the actor that frees the resources of a controller that has died where that actor cannot work.

    It asks the dashboard whether the controller lives. Without one, as where a job starts Ray on its own machine, it
    learns nothing, and stopping it takes twelve seconds at the end of every run.
    """

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        if ray_worker._global_node.webui_url:
            return callbacks
        return [one for one in callbacks if not isinstance(one, PlacementGroupCleanerCallback)]
