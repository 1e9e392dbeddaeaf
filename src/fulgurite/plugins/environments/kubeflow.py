"""Pods that Kubeflow's training operator started."""

from fulgurite.core.cluster import ClusterEnvironment, number, text

WAY_OUT = "The operator of a PyTorchJob sets it in each pod."


class KubeflowEnvironment(ClusterEnvironment):
    """A ``PyTorchJob`` with one process in each pod: ``Trainer(num_nodes=pods, devices=1)``.

    Its variables can't be told from other launchers', so it is never found: pass
    ``Trainer(plugins=[KubeflowEnvironment()])``.
    """

    @staticmethod
    def detect() -> bool:
        raise NotImplementedError(
            "KubeflowEnvironment can't be detected: its variables are those of other launchers. Pass "
            "Trainer(plugins=[KubeflowEnvironment()])."
        )

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return text("MASTER_ADDR", way_out=WAY_OUT)

    @property
    def main_port(self) -> int:
        return number("MASTER_PORT", way_out=WAY_OUT)

    def world_size(self) -> int:
        return number("WORLD_SIZE", way_out=WAY_OUT)

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return number("RANK", way_out=WAY_OUT)

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        """Each pod has one process."""
        return 0

    def node_rank(self) -> int:
        return self.global_rank()
