"""gRPC services and stubs, made of what the protos say of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodDescriptorProto, ServiceDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import axtui.remote  # noqa: F401  (it tells gRPC to be quiet, which has read nothing of it yet)


def service(
    descriptor: ServiceDescriptor,
    implementation: object,
    wrap: Callable[[Any], Any] = lambda method: method,
) -> grpc.GenericRpcHandler:
    """What a server is given to serve `implementation`, each of its methods `wrap`ped.

    For each method of the proto, such as `GetState`, it has a coroutine function or an async
    generator function `get_state`. An answer may be the bytes of its message.
    """
    handlers = {}
    for method in _methods(descriptor):
        kind = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
        found = descriptor.methods_by_name[method.name]
        handlers[method.name] = getattr(grpc, f"{kind}_rpc_method_handler")(
            wrap(getattr(implementation, snake(method.name))),
            request_deserializer=GetMessageClass(found.input_type).FromString,
            response_serializer=_bytes,
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


class Stub:
    """The methods of a service at the other end of a channel, by their names in snake case."""

    def __init__(self, channel: grpc.aio.Channel, descriptor: ServiceDescriptor) -> None:
        for method in _methods(descriptor):
            kind = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
            found = descriptor.methods_by_name[method.name]
            call = getattr(channel, kind)(
                f"/{descriptor.full_name}/{method.name}",
                request_serializer=_bytes,
                response_deserializer=GetMessageClass(found.output_type).FromString,
            )
            setattr(self, snake(method.name), call)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the service has no method {name!r}")


def _methods(descriptor: ServiceDescriptor) -> list[MethodDescriptorProto]:
    # Nothing else tells in Python which methods stream.
    proto = ServiceDescriptorProto()
    descriptor.CopyToProto(proto)
    return list(proto.method)


def _arity(streams: bool) -> str:
    return "stream" if streams else "unary"


def snake(name: str) -> str:
    """The name in Python of a method of a proto."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _bytes(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()
