"""Lines that name their call: all that a job's process logs from its entrypoint on, to its last.

LiveKit's own fields (`ctx.log_context_fields`) are taken off the log when the job is over. The process is not: what it
says while it ends, of a loop that is held up or of a task that is cut off, is about that call, too.
"""

from __future__ import annotations

import logging

from livekit.agents import JobContext, JobExecutorType


class CallFields(logging.Filter):
    """Adds the job's fields to each record that has none of that name."""

    def __init__(self, ctx: JobContext) -> None:
        super().__init__()
        self._ctx = ctx

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in self._ctx.log_context_fields.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def name_call(ctx: JobContext) -> None:
    """Have every line say its job and room from here on, the user's own and LiveKit's included."""
    add_to_lines(ctx, job_id=ctx.job.id, room=ctx.job.room.name)
    if ctx.proc.executor_type is JobExecutorType.PROCESS:  # `console` has its job in a thread of the worker
        fields = CallFields(ctx)
        for handler in logging.getLogger().handlers:
            handler.addFilter(fields)


def add_to_lines(ctx: JobContext, **fields: str) -> None:
    ctx.log_context_fields = {**ctx.log_context_fields, **fields}
