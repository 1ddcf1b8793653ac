"""Each pass on graphs small enough to see what it must do, and what it must leave alone; always equal bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.passes.network import Network, Rewrite, assert_equal_bytes, names, rewritten, run, weights
from thimble.compiler.ir.errors import ThimbleError, UsageError
from thimble.compiler.ir.graph import Role
from thimble.compiler.ir.operator import Rounding, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.lookup import Lookup
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Mean, ReduceMax
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.resize import ResizeNearestNeighbor
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.cancel_transposes import cancel_transposes
from thimble.compiler.passes.fold_constants import MAX_GROWTH_BYTES, fold_constants
from thimble.compiler.passes.fold_padding import fold_padding
from thimble.compiler.passes.merge_lookups import merge_lookups
from thimble.compiler.passes.merge_reshapes import merge_reshapes
from thimble.compiler.passes.pipeline import PASSES, Pass, choose_passes, run_passes
from thimble.compiler.passes.read_unflattened import read_unflattened
from thimble.compiler.passes.remove_dead import remove_dead

# remove-dead


def test_dead_nodes_and_values_go_and_state_is_still_written() -> None:
    n = Network()
    x, state = n.input((1, 4)), n.state((1, 4))
    n.node(Logistic(), n.node(Tanh(), x, scale=1 / 128), zero=-128, scale=1 / 256)
    y = n.node(Add(Activation.NONE), n.read(state), x)
    n.assign(state, y)
    n.constant(weights(3))
    after = remove_dead(n.graph(y))
    assert_equal_bytes(n.graph(y), after)
    assert names(after) == ["read_variable", "add", "assign_variable"]
    assert len(after.values) == 4


def test_an_unread_input_stays() -> None:
    n = Network()
    x, _ = n.input((1, 4)), n.input((2,))
    graph = n.graph(n.node(Relu(), x))
    assert remove_dead(graph) is graph


# fold-constants


def test_constants_fold_through_several_nodes() -> None:
    n = Network()
    c = n.constant(weights(2, 6))
    flat = n.node(Reshape((12,)), n.node(Transpose((1, 0)), c))
    y = n.node(Add(Activation.NONE), n.input((12,)), n.node(Relu(), flat))
    assert rewritten(fold_constants, n.graph(y)) == ["add"]


def test_a_folded_output_keeps_its_name_and_tensor() -> None:
    n = Network()
    y = n.node(Relu(), n.constant(weights(4)))
    after = fold_constants(n.graph(y))
    assert not after.nodes
    assert after.values[y].role is Role.CONSTANT
    assert after.values[y].tensor == y


def test_a_constant_that_would_grow_flash_stays_computed() -> None:
    n = Network()
    small = n.constant(weights(1, 2, 2, 4))
    side = int(np.sqrt(MAX_GROWTH_BYTES / 4)) + 3
    wide = n.node(ResizeNearestNeighbor(side, side, False, False), small)
    assert rewritten(fold_constants, n.graph(n.node(Add(Activation.NONE), n.input((1, side, side, 4)), wide))) == [
        "resize_nearest_neighbor",
        "add",
    ]


# merge-reshapes and cancel-transposes


def test_chains_of_reshapes_become_one_and_those_that_change_nothing_go() -> None:
    n = Network()
    x = n.node(Relu(), n.input((1, 2, 3, 4)))
    y = n.node(ExpandDims(0), n.node(Squeeze(()), n.node(Reshape((1, 24)), x)))
    z = n.node(Relu6(), n.node(Reshape((1, 2, 3, 4)), y))
    assert rewritten(merge_reshapes, n.graph(z)) == ["relu", "relu6"]


def test_a_reshape_with_another_reader_stays() -> None:
    n = Network()
    flat = n.node(Reshape((1, 8)), n.input((2, 4)))
    y = n.node(Relu(), n.node(Reshape((4, 2)), flat))
    assert rewritten(merge_reshapes, n.graph(y, n.node(Tanh(), flat, scale=1 / 128))) == [
        "reshape",
        "reshape",
        "relu",
        "tanh",
    ]


def test_an_output_that_copies_a_value_takes_its_place() -> None:
    n = Network()
    inner = n.node(Relu(), n.input((1, 4)))
    outer = n.node(Reshape((1, 4)), inner)
    graph = n.graph(outer, n.node(Relu6(), inner))
    assert rewritten(merge_reshapes, graph) == ["relu", "relu6"]
    assert merge_reshapes(graph).outputs == graph.outputs


# read-unflattened


def test_a_fully_connected_reads_the_rows_in_front_of_a_reshape() -> None:
    n = Network()
    image = n.node(Relu(), n.input((1, 3, 2, 4)))
    flat = n.node(Reshape((1, 24)), image)
    y = n.connected(flat, weights(5, 24))
    after = read_unflattened(n.graph(y))
    assert rewritten(read_unflattened, n.graph(y)) == ["relu", "fully_connected"]
    assert after.nodes[-1].inputs[0] == image
    assert rewritten(read_unflattened, n.graph(y, flat)) == ["relu", "reshape", "fully_connected"]


def test_a_fully_connected_that_reads_one_row_anyway_stays() -> None:
    n = Network()
    graph = n.graph(n.connected(n.node(Reshape((1, 24)), n.node(Relu(), n.input((1, 1, 1, 24)))), weights(5, 24)))
    assert read_unflattened(graph) is graph


# cancel-transposes


def test_inverse_transposes_cancel() -> None:
    n = Network()
    x = n.node(Transpose((0, 3, 1, 2)), n.node(Relu(), n.input((1, 3, 4, 5))))
    y = n.node(Relu6(), n.node(Transpose((0, 2, 3, 1)), x))
    graph = n.graph(y)
    assert rewritten(lambda g: merge_reshapes(cancel_transposes(g)), graph) == ["relu", "relu6"]


def test_two_transposes_become_one() -> None:
    n = Network()
    x = n.input((2, 3, 4, 5))
    y = n.node(Transpose((2, 0, 3, 1)), n.node(Transpose((3, 1, 0, 2)), x))
    assert rewritten(cancel_transposes, n.graph(y)) == ["transpose"]


def test_a_transpose_with_another_reader_is_not_done_twice() -> None:
    n = Network()
    first = n.node(Transpose((1, 2, 0)), n.input((2, 3, 4)))
    graph = n.graph(n.node(Transpose((1, 0, 2)), first), n.node(Relu(), first))
    after = cancel_transposes(graph)
    assert_equal_bytes(graph, after)
    assert after.nodes[1].inputs == (first,)


def test_a_transpose_that_moves_only_dimensions_of_1_is_a_reshape() -> None:
    n = Network()
    y = n.node(Transpose((0, 3, 1, 2)), n.input((1, 6, 1, 5)))
    z = n.node(Transpose((0, 3, 2, 1)), y)
    assert rewritten(cancel_transposes, n.graph(n.node(Relu(), y), z)) == ["transpose", "reshape", "relu"]


@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("reduction", [Mean, ReduceMax])
def test_reductions_overtake_transposes(reduction: type[Mean] | type[ReduceMax], keep_dims: bool) -> None:
    n = Network()
    x = n.node(Transpose((0, 3, 1, 2)), n.input((2, 3, 4, 5)))
    y = n.node(reduction((-1,), keep_dims), x)
    z = n.node(reduction((2,), keep_dims), y)
    assert rewritten(cancel_transposes, n.graph(z)) == [reduction.name, reduction.name, "reshape"]


# merge-lookups


def test_a_quantize_that_changes_nothing_goes() -> None:
    n = Network()
    y = n.node(Quantize(), n.node(Tanh(), n.node(Quantize(), n.input((1, 9))), scale=1 / 128))
    assert rewritten(merge_lookups, n.graph(y)) == ["tanh"]


def test_a_chain_becomes_one_table() -> None:
    n = Network()
    x = n.node(Quantize(), n.input((256,), scale=0.1, zero=-7), scale=0.05, zero=11)
    x = n.node(Logistic(), x, scale=1 / 256, zero=-128)
    x = n.node(Mul(Activation.NONE), x, n.constant(np.array([77], np.int8)), scale=0.02, zero=-9)
    graph = n.graph(n.node(Relu(), x, zero=-5))
    after = merge_lookups(graph)
    assert names(after) == ["lookup"]
    every_value = [np.arange(-128, 128, dtype=np.int8)]
    assert run(graph, [every_value]) == run(after, [every_value])
    assert after.values[after.outputs[0]].tensor == graph.outputs[0]


def test_a_value_that_someone_else_reads_keeps_its_table() -> None:
    n = Network()
    x = n.node(Tanh(), n.input((1, 9)), scale=1 / 128)
    graph = n.graph(n.node(Relu(), x), x)
    assert merge_lookups(graph) is graph


def test_int16_chains_stay() -> None:
    n = Network()
    x = n.node(Tanh(), n.input((1, 9), scale=2**-12, dtype=DType.INT16), scale=2**-15)
    graph = n.graph(n.node(Relu(), x))
    assert merge_lookups(graph) is graph


def test_a_lookup_lowers_to_its_table() -> None:
    n = Network()
    table = tuple(int(v) for v in np.random.default_rng(0).integers(-128, 127, 256, endpoint=True))
    (site,) = n.graph(n.node(Lookup(table), n.input((3, 5)))).sites
    (call,) = site.op.lower(site, Rounding.TFLM)
    assert call.kernel == "lookup_s8"
    assert [a.data.tolist() for a in call.arguments if isinstance(a, Table)] == [list(table)]


# all of them


@pytest.mark.parametrize("rewrite", [cancel_transposes, merge_reshapes, fold_padding, merge_lookups])
def test_a_state_is_not_read_after_it_was_written(rewrite: Rewrite) -> None:
    """Each pair of nodes could become one in the place of the second, were the state not written between them."""
    n = Network()
    shape = (1, 4, 3, 2)
    state = n.state(shape)
    firsts = [
        n.node(Transpose((0, 3, 1, 2)), state),
        n.node(Reshape((1, 24)), state),
        n.node(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), state),
        n.node(Quantize(), state),
    ]
    n.assign(state, n.input(shape))
    seconds = [
        n.node(Transpose((0, 2, 3, 1)), firsts[0]),
        n.node(Reshape(shape), firsts[1]),
        n.conv(firsts[2], weights(2, 3, 3, 2)),
        n.node(Relu(), firsts[3]),
    ]
    graph = n.graph(*seconds)
    assert rewritten(rewrite, graph) == names(graph)


# the pipeline


def test_passes_can_be_left_out_by_name() -> None:
    assert [step for step in PASSES if step.name == "fold-padding"]
    assert not [step for step in choose_passes(["fold-padding"]) if step.name == "fold-padding"]
    assert choose_passes() == PASSES


@pytest.mark.parametrize("name", ["no-such-pass", "separate-outputs"])
def test_passes_that_are_unknown_or_required_cannot(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is no pass to leave out; those are: cancel-transposes, "):
        choose_passes([name])


def test_one_name_is_one_pass() -> None:
    assert len({step.name for step in PASSES}) == len({step.rewrite for step in PASSES})


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    n = Network()
    graph = n.graph(n.node(Relu(), n.node(Tanh(), n.input((1, 4)), scale=1 / 128)))
    broken = Pass("swap-nodes", lambda g: replace(g, nodes=g.nodes[::-1]))
    with pytest.raises(ThimbleError, match="pass swap-nodes broke the graph"):
        run_passes(graph, (broken,))
