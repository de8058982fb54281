"""Names inside an output directory."""

from dataclasses import dataclass

from pipeline import storage

FOLDERS = ("manifests", "captions", "candidates", "rejects", "shards", "statistics", "attempts", "errors", "listing")
"""All folders of a dataset; manifests first, since they make a shard count."""


def stem(shard: int) -> str:
    """`000123`: the name that all files of a shard share."""
    return f"{shard:06d}"


@dataclass(frozen=True)
class Layout:
    """Where everything lies below one output URI."""

    uri: str

    def path(self, *parts: str) -> str:
        return storage.join(self.uri, *parts)

    @property
    def config(self) -> str:
        return self.path("config.yaml")

    @property
    def vocabulary(self) -> str:
        return self.path("vocabulary.parquet")

    @property
    def dataset(self) -> str:
        return self.path("dataset.json")

    @property
    def card(self) -> str:
        return self.path("README.md")

    def table(self, kind: str, shard: int) -> str:
        """A Parquet table of one shard; `kind`: captions, manifests, candidates or rejects."""
        return self.path(kind, f"{stem(shard)}.parquet")

    def tar(self, shard: int) -> str:
        return self.path("shards", f"{stem(shard)}.tar")

    def statistics(self, shard: int) -> str:
        return self.path("statistics", f"{stem(shard)}.json")

    def error(self, shard: int) -> str:
        """Why a shard failed: there from then until it is committed."""
        return self.path("errors", f"{stem(shard)}.json")

    def failed(self) -> set[int]:
        """Shards that have such a record."""
        names = storage.list_names(self.path("errors"))
        return {int(name.removesuffix(".json")) for name in names if name.endswith(".json")}

    def committed(self) -> set[int]:
        """Shards whose manifest is there: the only ones that are part of the dataset."""
        return self.present("manifests")

    def present(self, kind: str) -> set[int]:
        """Shards that have a table of this kind."""
        names = storage.list_names(self.path(kind))
        return {int(name.removesuffix(".parquet")) for name in names if name.endswith(".parquet")}
