"""Components of a graph, merged by rounds or one by one."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Components:
    """Components of N nodes, each named by one of its nodes."""

    of_node: np.ndarray
    """The component of each node, int64 [N]."""
    size: np.ndarray
    """Pixels of each component, int64 [N]; what stands at other nodes means nothing."""
    inner: np.ndarray
    """The heaviest edge that each component merged along, float64 [N]."""
    _into: dict[int, int] = field(default_factory=dict)

    def copy(self) -> "Components":
        """The same, to be merged differently."""
        return Components(self.of_node, self.size.copy(), self.inner.copy())

    def join(self, components: np.ndarray, into: np.ndarray) -> None:
        """Some components become part of others, which stay; int64 [J] both."""
        now = np.arange(len(self.of_node))
        now[components] = into
        self.of_node = now[self.of_node]

    def find(self, component: int) -> int:
        """What a component has become by `join_two`."""
        into = self._into
        while (parent := into.get(component)) is not None:
            further = into.get(parent)
            if further is None:
                return parent
            into[component] = component = further  # shortens the way for those who come after
        return component

    def join_two(self, one: int, other: int) -> int:
        """The smaller of two components becomes part of the larger, which is returned; `settle` tells `of_node`."""
        if self.size[one] < self.size[other]:
            one, other = other, one
        self.size[one] += self.size[other]
        self._into[other] = one
        return one

    def settle(self) -> None:
        """Bring `of_node` up to date."""
        joined = np.fromiter(self._into, np.int64)
        self.join(joined, np.array([self.find(component) for component in joined.tolist()], np.int64))
        self._into.clear()

    def numbered(self) -> np.ndarray:
        """Components numbered in the order of their first nodes, int64 [N]."""
        count = len(self.of_node)
        first = np.full(count, count)
        first[self.of_node[::-1]] = np.arange(count - 1, -1, -1)
        begins = np.sort(first[first < count])
        number = np.empty(count, np.int64)
        number[self.of_node[begins]] = np.arange(len(begins))
        return number[self.of_node]
