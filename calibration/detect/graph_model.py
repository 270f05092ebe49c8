"""TensorFlow.js graph models, run by ai-edge-litert: their convolutions are written again as a TensorFlow Lite model.

The format: `model.json` holds the graph (TensorFlow's GraphDef as JSON) and a manifest of the weights, which lie one
after the other, little-endian, in a file beside it. Both formats mean the same by an operator; only kernels are laid
out differently. What follows the convolutions (peaks, who has which joint) is left to the caller.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as lite
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import Builder
from jaxtyping import Float

Place = tuple[int, tuple[int, ...]]
"""Number and shape of a tensor."""

_STORED = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
_TYPES = {np.dtype(np.float32): lite.TensorType.FLOAT32, np.dtype(np.int32): lite.TensorType.INT32}
_BY_ELEMENT = {
    "AddV2": (lite.BuiltinOperator.ADD, lite.BuiltinOptions.AddOptions, lite.AddOptionsT),
    "Sub": (lite.BuiltinOperator.SUB, lite.BuiltinOptions.SubOptions, lite.SubOptionsT),
    "Mul": (lite.BuiltinOperator.MUL, lite.BuiltinOptions.MulOptions, lite.MulOptionsT),
}
_PASSED = ("Cast", "Unpack", "Squeeze", "ExpandDims")
"""What is done to the input before the network: we give it as a batch of one, as floats."""
_FOLLOWING = {"Relu": lite.ActivationFunctionType.RELU, "Relu6": lite.ActivationFunctionType.RELU6}


class GraphModel:
    """Part of a network, for images of one size; on one thread."""

    def __init__(self, graph: Path, weights: Path, size: tuple[int, int], outputs: Sequence[str]) -> None:
        """
        Args:
            size: height and width of the images.
            outputs: names of the nodes whose values are wanted.

        Raises:
            KeyError: there is no such node, or it needs an operator that is not known here.
        """
        document = json.loads(graph.read_text(encoding="utf-8"))
        nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        constants = _weights(document["weightsManifest"], weights.read_bytes())
        self._content = _Writer(nodes, constants, size).model(outputs)  # the interpreter does not copy it
        self._network = Interpreter(model_content=self._content, num_threads=1)
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        self._outputs = [each["index"] for each in self._network.get_output_details()]

    def __call__(self, image: Float[np.ndarray, "H W 3"]) -> list[Float[np.ndarray, "h w C"]]:
        """The outputs for one image, in the order asked for."""
        self._network.set_tensor(self._input, image[None].astype(np.float32))
        self._network.invoke()
        return [self._network.get_tensor(index)[0] for index in self._outputs]


def _weights(manifest: Sequence[Mapping[str, Any]], stored: bytes) -> dict[str, np.ndarray]:
    out, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        kind = np.dtype(_STORED[entry.get("quantization", entry)["dtype"]])
        count = int(np.prod(entry["shape"], dtype=int))
        out[entry["name"]] = (
            np.frombuffer(stored, kind, count, start).reshape(entry["shape"]).astype(_STORED[entry["dtype"]])
        )
        start += count * kind.itemsize
    return out


class _Writer:
    """Writes the nodes that are asked for, each once and after those that it reads."""

    def __init__(self, nodes: Mapping[str, Any], constants: Mapping[str, np.ndarray], size: tuple[int, int]) -> None:
        self._nodes, self._constants, self._size = nodes, constants, size
        self._buffers = [lite.BufferT()]
        self._codes: list[int] = []
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._inputs: list[int] = []
        self._places: dict[str, Place] = {}

    def model(self, outputs: Sequence[str]) -> bytes:
        """A TensorFlow Lite file."""
        graph, model = lite.SubGraphT(), lite.ModelT()
        graph.outputs = [self._place(name)[0] for name in outputs]
        graph.inputs, graph.tensors, graph.operators = self._inputs, self._tensors, self._operators
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self._buffers, []
        for code in self._codes:
            entry = lite.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, 1
            model.operatorCodes.append(entry)
        builder = Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _place(self, name: str) -> Place:
        if name not in self._places:
            if name in self._constants:
                self._places[name] = self._constant(self._constants[name])
            else:
                self._places[name] = self._node(self._nodes[name])
        return self._places[name]

    def _node(self, node: Mapping[str, Any]) -> Place:
        kind = node["op"]
        if kind == "Placeholder":
            place = self._tensor((1, *self._size, 3), lite.TensorType.FLOAT32)
            self._inputs.append(place[0])
            return place
        if kind in _PASSED:
            return self._place(node["input"][0])
        if kind == "ResizeBilinear":
            return self._resized(node)
        if kind in _BY_ELEMENT:
            code, options_kind, Options = _BY_ELEMENT[kind]
            places = [self._place(name) for name in node["input"]]
            shape = np.broadcast_shapes(*(shape for _, shape in places))
            return self._operator(code, options_kind, Options(), [number for number, _ in places], shape)
        if kind == "_FusedConv2D":
            return self._convolution(node, lite.Conv2DOptionsT())
        if kind in ("FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"):
            return self._convolution(node, lite.DepthwiseConv2DOptionsT())
        raise KeyError(kind)

    def _resized(self, node: Mapping[str, Any]) -> Place:
        options = lite.ResizeBilinearOptionsT()
        options.halfPixelCenters = True  # all that MoveNet has
        (number, shape), by = self._place(node["input"][0]), node["input"][1]
        if by in self._constants:
            size = self._constants[by]
        else:  # that of the input, times a constant
            size = np.array(shape[1:3], np.int32) * self._constants[self._nodes[by]["input"][1]]
        code, kind = lite.BuiltinOperator.RESIZE_BILINEAR, lite.BuiltinOptions.ResizeBilinearOptions
        target, _ = self._constant(size)
        return self._operator(code, kind, options, [number, target], (1, int(size[0]), int(size[1]), shape[3]))

    def _convolution(self, node: Mapping[str, Any], options: Any) -> Place:
        depthwise = isinstance(options, lite.DepthwiseConv2DOptionsT)
        attributes = node["attr"]
        options.strideH, options.strideW = (int(each) for each in attributes["strides"]["list"]["i"][1:3])
        options.dilationHFactor = options.dilationWFactor = 1
        same = _text(attributes["padding"]["s"]) == "SAME"
        options.padding = lite.Padding.SAME if same else lite.Padding.VALID
        fused = [_text(each) for each in attributes.get("fused_ops", {}).get("list", {}).get("s", ())]
        for each in fused[1:]:  # the first is the bias
            options.fusedActivationFunction = _FOLLOWING[each]
        (number, shape), kernel = self._place(node["input"][0]), self._constants[node["input"][1]]
        height, width, deep, many = kernel.shape
        if depthwise:
            options.depthMultiplier = many
            kernel, channels = kernel.reshape(1, height, width, deep * many), deep * many
            code, kind = lite.BuiltinOperator.DEPTHWISE_CONV_2D, lite.BuiltinOptions.DepthwiseConv2DOptions
        else:
            kernel, channels = kernel.transpose(3, 0, 1, 2), many
            code, kind = lite.BuiltinOperator.CONV_2D, lite.BuiltinOptions.Conv2DOptions
        bias = self._constants[node["input"][2]] if fused else np.zeros(channels, np.float32)
        shrunk = (0, 0) if same else (height - 1, width - 1)
        strides = (options.strideH, options.strideW)
        rows, columns = (-(-(n - s) // stride) for n, s, stride in zip(shape[1:3], shrunk, strides, strict=True))
        inputs = [number, self._constant(kernel)[0], self._constant(bias)[0]]
        return self._operator(code, kind, options, inputs, (1, rows, columns, channels))

    def _constant(self, values: np.ndarray) -> Place:
        buffer = lite.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._tensor(values.shape, _TYPES[values.dtype], len(self._buffers) - 1)

    def _tensor(self, shape: tuple[int, ...], kind: int, buffer: int = 0) -> Place:
        """Buffer 0 is the empty one, of tensors that are computed."""
        tensor = lite.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = list(shape), kind, buffer, str(len(self._tensors))
        self._tensors.append(tensor)
        return len(self._tensors) - 1, shape

    def _operator(self, code: int, kind: int, options: Any, inputs: list[int], shape: tuple[int, ...]) -> Place:
        if code not in self._codes:
            self._codes.append(code)
        place = self._tensor(shape, lite.TensorType.FLOAT32)
        operator = lite.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._codes.index(code), inputs, [place[0]]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self._operators.append(operator)
        return place


def _text(coded: str) -> str:
    return base64.b64decode(coded).decode()
