"""What every export begins with."""

from pipeline.configuration.paths import refuse_secrets
from pipeline.dataset.opening import MinedDataset, open_mined_dataset


def open_pairs(output: str) -> MinedDataset:
    """Find out what is there to export.

    Raises:
        UserError: no dataset, nothing of it is committed yet, or a secret in the URI, which exports repeat.
        OSError: storage cannot be read.
    """
    refuse_secrets("output", output)
    dataset = open_mined_dataset(output)
    dataset.check_begun()
    return dataset
