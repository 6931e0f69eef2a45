"""What a caller's departure means: the end of the call, or a caller who may be back in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from livekit import rtc

Reason = rtc.DisconnectReason

# True: the call is over. False: this may be a reload, a reconnect, a network that comes back.
# Every value that the SDK knows stands here; a test fails for one that does not.
ENDS_THE_CALL: Mapping[Reason.ValueType, bool] = MappingProxyType(
    {
        # A full reconnect of the agent itself: the SDK reports everybody as gone, then as joined.
        Reason.UNKNOWN_REASON: False,
        Reason.CLIENT_INITIATED: True,
        # A reload, a second tab: who has the identity now has joined 1 ms later (measured).
        Reason.DUPLICATE_IDENTITY: False,
        Reason.SERVER_SHUTDOWN: False,
        Reason.PARTICIPANT_REMOVED: True,
        Reason.ROOM_DELETED: True,
        Reason.STATE_MISMATCH: False,
        Reason.JOIN_FAILURE: False,
        Reason.MIGRATION: False,
        Reason.SIGNAL_CLOSE: False,
        Reason.ROOM_CLOSED: True,
        # SIP: who was called did not answer, refused, or could not be reached; nobody dials again by himself.
        Reason.USER_UNAVAILABLE: True,
        Reason.USER_REJECTED: True,
        Reason.SIP_TRUNK_FAILURE: True,
        Reason.CONNECTION_TIMEOUT: False,
        Reason.MEDIA_FAILURE: False,
        # Another participant's own words for its failure; it may try again.
        Reason.AGENT_ERROR: False,
    }
)


def ends_the_call(reason: Reason.ValueType | None) -> bool:
    """Whether a departure for this reason is an end. One that is newer than this table is waited for."""
    return ENDS_THE_CALL.get(reason or Reason.UNKNOWN_REASON, False)


def name(reason: Reason.ValueType | None) -> str:
    """For logs: `DUPLICATE_IDENTITY`; a number where this SDK has no name for it."""
    value = reason or Reason.UNKNOWN_REASON
    return Reason.Name(value) if value in Reason.values() else str(value)
