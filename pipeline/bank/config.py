"""What `segmentation.bank.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, Running

SameImage = Literal["exclude", "allow"]
"""Whether regions of the image that is segmented may vote."""

ScanPrecision = Literal["auto", "bf16", "fp32"]
"""Number format in which all entries are compared: see `pipeline.bank.search`."""


@dataclass
class BankConfig:
    """Which bank of mined regions is asked beside CLIP, and how much its answer counts. Without `path`: none."""

    path: Annotated[str | None, LocalPath.ANY, AbsentMeans(None)] = None
    """Folder that `python -m jobs.export --format bank` wrote, any fsspec URI."""
    weight: Annotated[float, Limit(ge=0, le=1), AbsentMeans(0.9)] = 0.9
    """Share of the bank in the classes of a region: 0 takes CLIP's alone, 1 the votes alone, where there are any.
    Classes that no noun of the bank names keep what CLIP gives them."""
    neighbours: Annotated[int, Limit(ge=1, le=1000), AbsentMeans(16)] = 16
    """The mined regions nearest to a region vote for the class of their noun: this many."""
    temperature: Annotated[float, Limit(gt=0), AbsentMeans(20.0)] = 20.0
    """Factor on the cosine similarities of a region and its neighbours before the softmax that makes votes of them."""
    min_similarity: Annotated[float, Limit(ge=-1, le=1), AbsentMeans(0.5)] = 0.5
    """Mined regions that are less similar do not vote; their votes are CLIP's. A region that is like none keeps CLIP's
    classification."""
    noun_similarity: Annotated[float, Limit(ge=-1, le=1), AbsentMeans(0.9)] = 0.9
    """A noun that is no name of a class votes for the classes whose names' text embeddings are at least this similar
    to its own, in cosine; 1: only nouns that are names vote. Votes of other nouns are CLIP's."""
    same_image: Annotated[SameImage, AbsentMeans("exclude")] = "exclude"
    """Whether regions that were mined from the segmented image itself may vote: the same file (SHA-256 or URI)."""
    precision: Annotated[ScanPrecision, AbsentMeans("auto")] = "auto"
    """Number format of the scan through all entries: fp32 is exact; bf16 finds candidates, four for each neighbour,
    and compares these in fp32; auto: bf16 on processors that multiply such numbers, else fp32."""
    memory_gb: Annotated[float, Limit(ge=0), Running] = 2.0
    """Of a bf16 scan, how much of the bank each worker keeps in memory, converted, in GB (1e9 bytes; a million entries
    of 512 numbers take 1): it is converted once, not for every image."""
