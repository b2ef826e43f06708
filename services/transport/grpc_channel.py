"""gRPC plumbing that knows no business word: channel and server options, bearer metadata, reading error details.

Owns limits and keepalive, so that both ends agree. Deadlines, retries and meanings belong to the callers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
METADATA_BYTES_MAX: Final = 16 * 1024
KEEPALIVE_MS: Final = 20_000  # a dead peer is noticed within this plus the timeout
KEEPALIVE_TIMEOUT_MS: Final = 10_000
CLIENT_PING_INTERVAL_MS_MIN: Final = 10_000  # a client that pings more often is disconnected
PENDING_CALLS_MAX: Final = 10_000  # calls that have arrived and not yet begun
RECONNECT_MS_FIRST: Final = 200
RECONNECT_MS_LAST: Final = 3_000
_DETAILS_KEY: Final = "grpc-status-details-bin"

Options = list[tuple[str, int | str]]


@dataclass(frozen=True)
class RpcFault:
    """A failed call in plain values; `reason` and `metadata` come from google.rpc.ErrorInfo, if there was one."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_seconds: float | None = None


def channel_options() -> Options:
    """Options of every client channel: bounded messages, keepalive also while a long poll waits, quick reconnects."""
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_FIRST),
        ("grpc.min_reconnect_backoff_ms", RECONNECT_MS_FIRST),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_LAST),
        ("grpc.enable_retries", 0),  # callers retry, with their own bounds
    ]


def server_options(*, message_bytes_max: int = MESSAGE_BYTES_MAX) -> Options:
    """Options of every server: bounded messages and metadata, keepalive enforcement, one listener per port."""
    return [
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS * 3),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", CLIENT_PING_INTERVAL_MS_MIN),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.server.max_pending_requests", PENDING_CALLS_MAX),  # by default a crowd of 1,000 is cancelled at random
        ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS_MAX),
        ("grpc.so_reuseport", 0),  # a second server on one port must fail, not share
    ]


def aio_channel(target: str) -> grpc.aio.Channel:
    """A channel for asyncio programs; connects at the first call."""
    return grpc.aio.insecure_channel(target, options=channel_options())


def sync_channel(target: str) -> grpc.Channel:
    """A channel for programs with threads; connects at the first call."""
    return grpc.insecure_channel(target, options=channel_options())


def bearer(token: str) -> tuple[str, str]:
    """The metadata entry that carries a token."""
    return ("authorization", f"Bearer {token}")


def token_of(metadata: Sequence[tuple[str, str | bytes]] | None) -> str | None:
    """The bearer token of a call's metadata; None when there is none or it is not text."""
    for name, value in metadata or ():
        if name.lower() == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return token.strip() if scheme.lower() == "bearer" and token.strip() else None
    return None


def fault_of(error: grpc.RpcError) -> RpcFault:
    """Read a failed call, of a sync or an asyncio stub, with the ErrorInfo and RetryInfo it carries."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    message = (error.details() if hasattr(error, "details") else "") or ""
    trailing: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    details = next((value for name, value in trailing or () if name == _DETAILS_KEY), None)
    if not isinstance(details, bytes):
        return RpcFault(code, message)
    return _with_details(code, message, details)


def _with_details(code: grpc.StatusCode, message: str, details: bytes) -> RpcFault:
    from google.protobuf.message import DecodeError
    from google.rpc import error_details_pb2, status_pb2

    status = status_pb2.Status()
    try:
        status.ParseFromString(details)
    except DecodeError:
        return RpcFault(code, message)
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    retry_seconds = None
    for part in status.details:
        if part.Is(info.DESCRIPTOR):
            part.Unpack(info)
        elif part.Is(retry.DESCRIPTOR):
            part.Unpack(retry)
            retry_seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return RpcFault(code, message, info.reason, dict(info.metadata), retry_seconds)
