"""How large a cluster can grow, as its autoscaler tells it."""

from pipeline.engine.capacity import check_feasible, fits_on
from pipeline.engine.cluster_nodes import MANY, possible, total
from pipeline.experiment.stages import Shape


def groups() -> list[object]:
    """In the protocol's own type: a head, workers without GPU, workers with one."""
    from ray.core.generated.autoscaler_pb2 import NodeGroupConfig

    kinds = ((1, {"memory": 1}), (8, {"CPU": 4}), (3, {"CPU": 16, "GPU": 1}))
    return [NodeGroupConfig(max_count=count, resources=resources) for count, resources in kinds]


def test_every_group_counts_with_as_many_nodes_as_it_may_have() -> None:
    nodes = possible(groups())
    assert sorted(nodes) == [(0, 0), *[(4, 0)] * 8, *[(16, 1)] * 3]
    assert total(nodes) == (80, 3)


def test_a_group_without_a_limit_has_room_for_what_fits_one_of_its_nodes() -> None:
    from ray.core.generated.autoscaler_pb2 import NodeGroupConfig

    nodes = possible([NodeGroupConfig(max_count=-1, resources={"CPU": 4})])
    assert nodes == [(4, 0)] * MANY
    assert fits_on(Shape(workers=100), nodes) and not fits_on(Shape(cpus_per_worker=5), nodes)


def test_what_an_autoscaler_may_add_is_waited_for() -> None:
    check_feasible([Shape(workers=3, gpus_per_worker=1)], [(2.0, 0.0)], possible(groups()))
