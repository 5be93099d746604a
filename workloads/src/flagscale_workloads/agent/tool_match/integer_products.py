"""MiniLM with products of integers.

The model's file keeps its weights as int8 and widens them to floats before every product, so that
onnxruntime computes with floats and reads four times the memory. Here each such product becomes
one `MatMulNBits`: the same weights, activations rounded to int8 in blocks. Measured: half the time
of a request, vectors within a cosine of 0.999 of those before.
"""

from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCK: Final = 128
"""Activations that share a scale."""
INTEGER_ACTIVATIONS: Final = 4
"""`accuracy_level` of `MatMulNBits`."""
ZERO_POINT: Final = 128
"""Its weights are unsigned."""
DOMAIN: Final = "com.microsoft"


def with_integer_products(model: bytes) -> bytes:
    """The same network. A product whose weights are not kept as int8 stays as it is."""
    network = onnx.load_model_from_string(model)
    graph = network.graph
    weights = {one.name: one for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    nodes = [_replaced(node, makers, weights, graph) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    network.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return bytes(network.SerializeToString())


def _replaced(node: Any, makers: dict[str, Any], weights: dict[str, Any], graph: Any) -> Any:  # noqa: ANN401 - protobuf
    widened = makers.get(node.input[1]) if node.op_type == "MatMul" else None
    cast = makers.get(widened.input[0]) if widened and widened.op_type == "Mul" else None
    if widened is None or cast is None or cast.op_type != "Cast":
        return node
    kept = numpy_helper.to_array(weights[cast.input[0]])
    scale = numpy_helper.to_array(weights[widened.input[1]]).reshape(-1, 1)
    rows, columns = kept.shape
    blocks = rows // BLOCK
    packed = (kept.T.astype(np.int16) + ZERO_POINT).astype(np.uint8)
    names = [f"{node.output[0]}_{part}" for part in ("weights", "scales")]
    scales = np.repeat(scale.astype(np.float32), blocks, axis=1)
    graph.initializer.append(
        numpy_helper.from_array(packed.reshape(columns, blocks, BLOCK), names[0])
    )
    graph.initializer.append(numpy_helper.from_array(scales, names[1]))
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], *names],
        [node.output[0]],
        name=node.name,
        domain=DOMAIN,
        K=rows,
        N=columns,
        bits=8,
        block_size=BLOCK,
        accuracy_level=INTEGER_ACTIVATIONS,
    )
