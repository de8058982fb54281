"""What the directories of all jobs have in common."""

from dataclasses import dataclass

from pipeline.storage.uris import join


@dataclass(frozen=True)
class OutputDirectory:
    """Where things lie below one output URI."""

    uri: str

    def path(self, *parts: str) -> str:
        """The URI of what lies at these names inside the directory."""
        return join(self.uri, *parts)

    @property
    def config(self) -> str:
        """What the content was made with."""
        return self.path("config.yaml")
