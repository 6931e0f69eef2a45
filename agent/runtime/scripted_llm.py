"""A language model without a model: fixed answers, so that a call runs end to end with no API key and no network."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

GREETING = "Hello, how can I help you?"


def answer(chat_ctx: llm.ChatContext) -> str:
    """Greets while nobody has spoken, then repeats what it understood."""
    said = [m.text_content for m in chat_ctx.messages() if m.role == "user"]
    return f"You said: {said[-1]}" if said and said[-1] else GREETING


class ScriptedLLM(llm.LLM[Any]):
    """Drop-in for `AgentSession(llm=…)`; answers at once."""

    @property
    def model(self) -> str:
        return "scripted"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return _ScriptedStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _ScriptedStream(llm.LLMStream):
    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content=answer(self._chat_ctx))
        self._event_ch.send_nowait(llm.ChatChunk(id="scripted", delta=delta))
