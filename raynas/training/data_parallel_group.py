"""The workers that train one network together, each on its part of every batch.

Source: synchronous data-parallel SGD (Goyal et al. 2017, sections 2.3 and 3): the gradient is the
mean over the images of all workers, and each worker's batch norms see the worker's images alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class DataParallelGroup:
    """One worker's place among those of its network; alone, it exchanges nothing.

    Attributes:
        rank: Number of the worker, from 0; it decides its part of each batch.
        size: Workers in all, each in torch's process group if there are several.
    """

    rank: int = 0
    size: int = 1

    def average_gradients(
        self, parameters: Iterable[torch.Tensor], found: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Replace gradients by their means over the whole batch; return what it is of ``found``.

        One flat sum after backward, for what computes something else in each step; a network
        that always computes the same is faster with ``averaging``.

        Args:
            parameters: What learns, each with a gradient on all workers or on none.
            found: Means over this worker's part, such as the loss, of any shape; where workers
                meet, which is for nccl a GPU even if the parameters are on the CPU.
            share: Of the batch's images that are in this worker's part.
        """
        if self.size == 1:
            return found
        gradients = [each.grad for each in parameters if each.grad is not None]
        whole = found.clone()
        _replace_by_sums([*gradients, whole], share, found.device)
        return whole

    def averaging(self, network: nn.Module, share: float) -> nn.Module:
        """Return what computes as a network does and replaces its gradients by their means.

        Torch's DistributedDataParallel sums them while backward goes on, and otherwise does as
        ``average_gradients``: each image counts once where the parts differ in size, weights that
        the loss does not depend on have no gradient, and batch norms keep their own statistics.
        The network itself stays as it is, so its checkpoints and averages are those of one worker.
        All workers call this at the same time.

        Args:
            network: Does the same in every step; where workers meet.
            share: Of the batch's images that are in this worker's part.
        """
        if self.size == 1:
            return network
        # a fixed graph: torch finds once which weights have no gradient
        parallel = DistributedDataParallel(network, static_graph=True)
        parallel.broadcast_buffers = False  # the argument of that name is deprecated
        parallel.register_comm_hook(share, _begin_sum)
        return parallel

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors by their sums over all workers.

        Args:
            tensors: Of equal shapes on all workers, where workers meet.
        """
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def average_statistics(self, networks: Iterable[nn.Module], share: float) -> None:
        """Replace running statistics by their means over the images of all workers.

        Args:
            networks: Whose batch norms.
            share: Of a batch's images that are in this worker's part.
        """
        buffers = [buffer for network in networks for buffer in network.buffers()]
        statistics = [buffer for buffer in buffers if buffer.is_floating_point()]
        if self.size > 1 and statistics:
            _replace_by_sums(statistics, share, statistics[0].device)


ALONE = DataParallelGroup()


def _begin_sum(
    share: float,
    bucket: distributed.GradBucket,  # type: ignore[name-defined]  # not in all builds of torch
) -> torch.futures.Future[torch.Tensor]:
    """Begin to replace gradients by the sums over all workers of their multiples."""
    work = distributed.all_reduce(bucket.buffer().mul_(share), async_op=True)
    assert work is not None  # the process group has this worker in it
    summed: torch.futures.Future[torch.Tensor] = work.get_future().then(_only)
    return summed


def _only(done: torch.futures.Future[list[torch.Tensor]]) -> torch.Tensor:
    (tensor,) = done.value()
    return tensor


@torch.no_grad()
def _replace_by_sums(tensors: Sequence[torch.Tensor], factor: float, device: torch.device) -> None:
    """Replace tensors by the sums over all workers of their multiples, the same bits on each."""
    flat = torch.cat([tensor.flatten().to(device) for tensor in tensors]).mul_(factor)
    distributed.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        tensor.copy_(piece.view(tensor.shape))
