"""The messages of an ONNX file, as far as they are read: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR version 12).

They are declared here instead of imported: the onnx package is a toolbox for making models, 15 MB that no endpoint needs, while
protobuf itself comes with onnxruntime. Fields that are not named are kept by protobuf as they are.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = {"string": 9, "bytes": 12, "int64": 3, "int32": 5, "uint64": 4, "float": 2, "double": 1}
_PACKED = frozenset({"int64", "int32", "uint64", "float", "double"})

_MESSAGES = {
    "Entry": "1 key string; 2 value string",
    "Tensor": "1 dims int64*; 2 data_type int32; 4 float_data float*; 5 int32_data int32*; 6 string_data bytes*; "
    "7 int64_data int64*; 8 name string; 9 raw_data bytes; 10 double_data double*; 11 uint64_data uint64*; "
    "13 external_data Entry*; 14 data_location int32",
    "SparseTensor": "1 values Tensor; 2 indices Tensor; 3 dims int64*",
    "Attribute": "1 name string; 2 f float; 3 i int64; 4 s bytes; 5 t Tensor; 6 g Graph; 7 floats float*; 8 ints int64*; "
    "9 strings bytes*; 10 tensors Tensor*; 11 graphs Graph*; 20 type int32; 21 ref_attr_name string; "
    "22 sparse_tensor SparseTensor; 23 sparse_tensors SparseTensor*",
    "Node": "1 input string*; 2 output string*; 4 op_type string; 5 attribute Attribute*; 7 domain string",
    "Dimension": "1 dim_value int64; 2 dim_param string",
    "Shape": "1 dim Dimension*",
    "TensorType": "1 elem_type int32; 2 shape Shape",
    "Type": "1 tensor_type TensorType",
    "ValueInfo": "1 name string; 2 type Type",
    "Graph": "1 node Node*; 5 initializer Tensor*; 11 input ValueInfo*; 12 output ValueInfo*; 15 sparse_initializer SparseTensor*",
    "Training": "1 initialization Graph; 2 algorithm Graph",
    "Function": "1 name string; 7 node Node*; 10 domain string; 11 attribute_proto Attribute*",
    "Model": "1 ir_version int64; 7 graph Graph; 20 training_info Training*; 25 functions Function*",
}
"""Each message's fields: number, name, type; a star for repeated ones."""


@functools.cache
def model_class() -> Any:
    """Return the class of a whole file."""
    pool = descriptor_pool.DescriptorPool()  # of our own: the onnx package may register its names in the common one
    pool.Add(_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("samovar.onnx.Model"))


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="samovar_onnx.proto", package="samovar.onnx", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split("; "):
            _add(message, *field.split(" "))
    return file


def _add(message: descriptor_pb2.DescriptorProto, number: str, name: str, kind: str) -> None:
    plain, repeated = kind.removesuffix("*"), kind.endswith("*")
    field = message.field.add(name=name, number=int(number), label=3 if repeated else 1)
    if plain in _KINDS:
        field.type = _KINDS[plain]
    else:
        field.type, field.type_name = 11, f".samovar.onnx.{plain}"
    if repeated and plain in _PACKED:
        field.options.packed = True  # a parser takes both ways of writing them
